"""Under gevent: a greenlet that waits lets the others run, and one of those brings what it waits for."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from conftest import Sandbox

pytest.importorskip("gevent")

# The native library knows nothing of greenlets: a call that blocked in it would never see what only another
# greenlet can bring about, and the watchdog would end the program.
BEFORE = """
    from gevent import monkey

    monkey.patch_all()

    import os, sys, time
    import gevent
    from gevent import util
    from lime_sdk.testing import LimeSandbox

    sandbox = LimeSandbox.connect(sys.argv[1])
    turns = 0

    def take_turns():
        global turns
        hangs = time.monotonic() + 25
        while time.monotonic() < hangs:
            turns += 1
            # With 0 what gevent's own threads bring, addresses of names, waits for seconds or for ever.
            gevent.sleep(0.001)
        # Before the watchdog ends it without a word: where each greenlet is.
        print("\\n".join(util.format_run_info()), file=sys.stderr, flush=True)
        os._exit(1)

    def some_turns():
        "Return when the other greenlets have had some turns from now on."
        enough = turns + 20
        while turns < enough:
            gevent.sleep(0.001)

    def decide(approval_id, decision="approved"):
        sandbox.control("POST", f"/approvals/{approval_id}/decision", {"decision": decision})

    gevent.spawn(take_turns)
"""


def run(sandbox: Sandbox, program: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BEFORE) + textwrap.dedent(program), sandbox.control_url],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ,
    )
    assert (found.stderr, found.returncode) == ("", 0)
    return found.stdout


def test_other_greenlets_run_while_an_approval_is_waited_for(sandbox: Sandbox) -> None:
    found = run(
        sandbox,
        """
        from sesame_sdk import NotFoundError, Sesame

        with Sesame() as client:
            approval = client.approvals.trigger("a", "b")

            def later():
                some_turns()
                decide(approval.approval_id)

            gevent.spawn(later)
            print(approval.wait(timeout=None).status)
            print(client.approvals.get(approval.approval_id).status)
            try:
                client.approvals.get("nobody")
            except NotFoundError as error:
                print(type(error).__name__, error.http_status)
        """,
    )
    assert found == "approved\napproved\nNotFoundError 404\n"


def test_a_gate_waits_for_another_greenlet(sandbox: Sandbox) -> None:
    found = run(
        sandbox,
        """
        from sesame_sdk import ApprovalDenied, ApprovalTimeout, require_approval

        told = []

        @require_approval("a", on_progress=told.append, timeout=None)
        def gated(name):
            return name

        def later(decision):
            while len(told) < 3:
                gevent.sleep(0.001)
            decide(sandbox.approvals("pending")[0]["approval_id"], decision)

        gevent.spawn(later, "approved")
        print(gated("ran"))
        told.clear()
        gevent.spawn(later, "denied")
        try:
            gated("ran")
        except ApprovalDenied as error:
            print(error.reason)

        @require_approval("a", timeout=0.01)
        def late():
            print("must not run")

        try:
            late()
        except ApprovalTimeout as error:
            print(type(error).__name__)
        """,
    )
    assert found == "ran\ndenied\nApprovalTimeout\n"


def test_a_login_between_greenlets(sandbox: Sandbox) -> None:
    found = run(
        sandbox,
        """
        import threading
        from lime_agents import SyncLimeAgent
        from lime_sites import SyncLimeSite

        with SyncLimeSite() as site, SyncLimeAgent() as agent:
            handled = []
            main = threading.current_thread()

            @site.on_login
            def signed_in(request_id, passport):
                some_turns()
                verified = site.verify_passport(passport, expected_request_id=request_id)
                handled.append((request_id, verified.valid, threading.current_thread() is main))

            request = site.create_login_request()
            waiting = gevent.spawn(site.wait_for_login, request.request_id)
            some_turns()
            told = []
            result = agent.login(request.request_id, on_progress=told.append)
            passport = waiting.get()
            assert site.verify_passport(passport, expected_request_id=request.request_id).valid
            print(result.status, told[-1].stage, agent.get_profile().agent_id == result.approved_agent_id)
            while not handled:
                gevent.sleep(0.001)
            print(handled == [(request.request_id, True, False)])
        """,
    )
    assert found == "DELIVERED done True\nTrue\n"


@pytest.mark.parametrize("client", ["None", "httpx.Client()"])
def test_other_greenlets_run_while_keys_are_fetched(sandbox: Sandbox, client: str) -> None:
    found = run(
        sandbox,
        f"""
        import httpx
        from gevent.pywsgi import WSGIServer
        from http.client import HTTPConnection
        from lime_mcp_server import JwksCache, LimeConfig, TokenVerifier

        # The keys come from a greenlet of this program.
        def platform(environ, start_response):
            some_turns()
            connection = HTTPConnection(sandbox.base_url.removeprefix("http://"))
            connection.request("GET", environ["PATH_INFO"])
            body = connection.getresponse().read().replace(sandbox.base_url.encode(), base.encode())
            connection.close()
            start_response("200 OK", [("Content-Type", "application/json")])
            return [body]

        server = WSGIServer(("127.0.0.1", 0), platform, log=None)
        server.start()
        base = f"http://127.0.0.1:{{server.server_port}}"
        sandbox.settings(issuer_override=base)
        cache = JwksCache(LimeConfig(base_url=base), http_client={client})
        verifier = TokenVerifier(expected_domain="tools.example.com", cache=cache)
        token = sandbox.mcp_token("tools.example.com")
        print({{each.get().error for each in [gevent.spawn(verifier.verify, token) for _ in range(8)]}})
        """,
    )
    assert found == "{None}\n"


@pytest.mark.parametrize("how", ["kill", "timeout", "Ctrl-C"])
def test_what_is_thrown_into_the_greenlet_gives_the_call_up(sandbox: Sandbox, how: str) -> None:
    found = run(
        sandbox,
        f"""
        import os, signal
        from gevent.event import Event
        from gevent.server import StreamServer
        from sesame_sdk import Sesame

        asked, gone = Event(), Event()

        def never_answer(connection, address):
            connection.recv(65536)
            asked.set()
            if connection.recv(1) == b"":
                gone.set()

        server = StreamServer(("127.0.0.1", 0), never_answer)
        server.start()
        client = Sesame(base_url=f"http://127.0.0.1:{{server.server_port}}")

        def wait():
            try:
                client.approvals.get("ap_1", wait=True)
            except BaseException as error:
                print(type(error).__name__)
                raise

        how = {how!r}
        signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in a shell's background do not have it
        if how == "kill":
            waiting = gevent.spawn(wait)
            asked.wait()
            waiting.kill()
        else:
            timeout = gevent.Timeout()

            def interrupt():
                asked.wait()
                # A signal strikes whichever greenlet runs, this one; gevent writes that down and strikes the main one.
                gevent.get_hub().exception_stream = None
                if how == "timeout":
                    main.throw(timeout)
                else:
                    os.kill(os.getpid(), signal.SIGINT)

            main = gevent.getcurrent()
            gevent.spawn(interrupt)
            try:
                wait()
            except (gevent.Timeout, KeyboardInterrupt):
                pass
        gone.wait()
        """,
    )
    assert found == {"kill": "GreenletExit", "timeout": "Timeout", "Ctrl-C": "KeyboardInterrupt"}[how] + "\n"


def test_many_wait_at_once_and_each_gets_its_own(sandbox: Sandbox) -> None:
    """One of them reads for all; it may be any, and may end before the others, however it ends."""
    found = run(
        sandbox,
        """
        import random
        from gevent.event import Event
        from sesame_sdk import Sesame

        client = Sesame()
        held_up, goes_on = Event(), Event()

        def hold_up(wait):
            if wait.elapsed > 0:
                held_up.set()
                goes_on.wait()

        first = client.approvals.trigger("a", "first")
        reader = gevent.spawn(first.wait, timeout=None, on_progress=hold_up)
        approvals = [client.approvals.trigger("a", str(number)) for number in range(40)]
        waiting = [gevent.spawn(approval.wait, timeout=None) for approval in approvals]
        # The one that read is busy with something else, while the others get what they wait for.
        held_up.wait()
        choice = random.Random(7)
        left = list(range(len(approvals)))
        while left:
            number = left.pop(choice.choice((0, -1)))
            if choice.random() < 0.3:
                waiting[number].kill()
            else:
                decide(approvals[number].approval_id)
                assert waiting[number].get() is approvals[number]
                assert approvals[number].approved
        goes_on.set()
        decide(first.approval_id)
        assert reader.get().approved
        print("done")
        """,
    )
    assert found == "done\n"


def test_a_forked_child_takes_nothing_that_is_its_parents(sandbox: Sandbox) -> None:
    found = run(
        sandbox,
        """
        import os, signal
        from gevent.select import select
        from lime_sdk import _gevent
        from sesame_sdk import Sesame

        client = Sesame()
        approval = client.approvals.trigger("a", "b")
        others = [gevent.spawn(client.approvals.trigger("a", "b").wait, timeout=None) for _ in range(2)]
        queue = _gevent.current()._queue.fileno()

        def fork():
            some_turns()
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                # The greenlets that wait are here, too, and see what comes for their parent.
                sees = gevent.spawn(select, [queue], [], [])
                some_turns()
                decide(approval.approval_id)
                sees.get()
                some_turns()
                status = client.approvals.get(approval.approval_id).status
                os._exit(7 if status == "approved" else 1)
            # The parent looks when the child has done so: nothing of gevent goes on here until then.
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        child = gevent.spawn(fork)
        print(approval.wait(timeout=None).status, child.get())
        for pending in sandbox.approvals("pending"):
            decide(pending["approval_id"])
        print([other.get().status for other in others])
        """,
    )
    assert found == "approved 7\n['approved', 'approved']\n"


def test_records_are_written_by_the_greenlet_that_waits(sandbox: Sandbox) -> None:
    found = run(
        sandbox,
        """
        import logging
        from sesame_sdk import Sesame

        class Asking(logging.Handler):
            "A handler that makes a call of its own."

            def emit(self, record):
                if not asking:
                    asking.append(record)
                    print(client.approvals.get(approval.approval_id).status)

        asking = []
        client = Sesame()
        approval = client.approvals.trigger("a", "b")
        logger = logging.getLogger("lime")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(Asking())
        print(client.approvals.get(approval.approval_id).status, bool(asking))
        """,
    )
    assert found == "pending\npending True\n"


@pytest.mark.parametrize("beside", ["pass", "import gevent.monkey", "gevent.monkey.patch_all(socket=False)"])
def test_what_gevent_has_not_patched_blocks_as_ever(sandbox: Sandbox, beside: str) -> None:
    program = f"""
        import sys
        if "gevent" in {beside!r}:
            import gevent.monkey
        {beside}
        from sesame_sdk import Sesame

        print(Sesame().approvals.trigger("a", "b").status)
        print([name for name in ("gevent", "lime_sdk._gevent") if name in sys.modules])
    """
    code = textwrap.dedent(program)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (found.stderr, found.returncode) == ("", 0)
    assert found.stdout == f"pending\n{['gevent'] if 'gevent' in beside else []}\n"
