"""The blocking clients, and what calls report while they run."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import inspect
import itertools
import logging
import math
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Sandbox

import lime_sites
from lime_agents import AgentProfile, ApprovalResult, LimeAgent, LoginProgress, SyncLimeAgent
from lime_sites import LimeSite, LoginTimeoutError, SyncLimeSite, WaitProgress
from sesame_sdk import AsyncSesame, Sesame, require_approval


@pytest.fixture
def site(sandbox: Sandbox) -> Iterator[SyncLimeSite]:
    with SyncLimeSite(sse_backoff_base=0.01) as made:
        yield made


def listen(site: SyncLimeSite) -> queue.Queue[Any]:
    events: queue.Queue[Any] = queue.Queue()

    @site.on_login
    def handler(request_id: str, passport: str | None) -> None:
        events.put((request_id, passport))

    return events


def open_stream(site: SyncLimeSite) -> None:
    """Return when it is open, which a handler for its events, perhaps the first one, has begun."""
    opened = threading.Event()
    site.on_login(lambda request_id, passport: None)
    site.on_state(lambda status: opened.set() if status.state == "open" else None)
    assert opened.wait(30)


def frames(count: int) -> str:
    return "".join(f'data: {{"type":"expired","login_request_id":"lr_{n}"}}\n\n' for n in range(count))


def test_signs_in_and_through_a_fault_plan(sandbox: Sandbox, site: SyncLimeSite) -> None:
    with SyncLimeAgent() as agent:
        events = listen(site)
        for turn in range(2):
            request = site.create_login_request()
            result = (agent.login, agent.approve)[turn](request.request_id)
            assert type(result) is ApprovalResult
            request_id, passport = events.get(timeout=30)
            assert request_id == request.request_id == result.request_id
            assert site.wait_for_login(request_id, timeout=30) == passport
            verified = site.verify_passport(passport, expected_request_id=request_id)
            profile = agent.get_profile()
            assert type(profile) is AgentProfile
            assert verified.claims["agent_id"] == profile.agent_id == result.approved_agent_id
            assert site.read_login_request(request_id).status == "DELIVERED"
            sandbox.fault("approve", status=503)
            sandbox.fault("events", action="cut")
            sandbox.control("POST", "/keys/rotate", {})
    with pytest.raises(lime_sites.LimeError, match="closed"):
        agent.get_profile()


@pytest.mark.parametrize(
    ("blocking", "waiting"), [(SyncLimeSite, LimeSite), (SyncLimeAgent, LimeAgent)], ids=["site", "agent"]
)
def test_the_blocking_clients_have_the_same_methods(blocking: type, waiting: type) -> None:
    def methods(cls: type) -> dict[str, list[str]]:
        return {
            {"aclose": "close"}.get(name, name): list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(cls, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    expected = methods(waiting)
    expected["__init__"].remove("http_client")
    expected.pop("mcp_session", None)  # what it gives, an mcp.ClientSession, is of an event loop
    assert methods(blocking) == expected
    assert not any(inspect.iscoroutinefunction(method) for method in vars(blocking).values())


def test_errors_are_the_same(sandbox: Sandbox, site: SyncLimeSite) -> None:
    sandbox.fault("create_request", status=429, headers={"Retry-After": "3"}, count=0)
    with SyncLimeSite(max_retries=0) as impatient, pytest.raises(lime_sites.RateLimitError) as caught:
        impatient.create_login_request()
    assert (caught.value.http_status, caught.value.retry_after) == (429, 3.0)
    with pytest.raises(lime_sites.InvalidPassportError):
        site.verify_passport("nonsense")
    with pytest.raises(LoginTimeoutError) as late:
        site.wait_for_login("lr_nobody", timeout=0.01)
    assert late.value.request_id == "lr_nobody"
    with pytest.raises(lime_sites.AuthenticationError):
        SyncLimeSite(site_token=" ")


def test_making_a_client_starts_nothing(sandbox: Sandbox) -> None:
    before = threading.active_count()
    site, agent = SyncLimeSite(), SyncLimeAgent()
    assert threading.active_count() == before
    assert site.stream_status.state == "idle"
    site.close()
    agent.close()


def test_handlers_run_one_at_a_time_in_order_on_one_thread_in_the_sites_context(
    sandbox: Sandbox,
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("the constructor's")
    done = threading.Event()
    seen: list[tuple[str, str, int]] = []
    running = overlapping = 0
    with SyncLimeSite() as site:
        variable.set("later")

        def handler(request_id: str, passport: str | None) -> None:
            nonlocal running, overlapping
            overlapping += running
            running += 1
            seen.append((request_id, variable.get(), threading.get_ident()))
            running -= 1
            if len(seen) == 100:
                done.set()

        assert site.on_login(handler) is handler
        site.on_login(handler)
        open_stream(site)
        sandbox.push_raw(frames(50))
        assert done.wait(30)
    assert [request_id for request_id, _, _ in seen] == [f"lr_{n}" for n in range(50) for _ in range(2)]
    assert {context for _, context, _ in seen} == {"the constructor's"}
    assert len({thread for _, _, thread in seen}) == 1
    assert threading.get_ident() not in {thread for _, _, thread in seen}
    assert overlapping == 0


class Unusual(BaseException):
    """As test runners and others have that are to pass every ``except Exception``."""


@pytest.mark.parametrize(
    "raised", [RuntimeError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Unusual]
)
def test_a_failing_handler_is_logged_and_the_next_event_still_comes(
    sandbox: Sandbox, site: SyncLimeSite, caplog: pytest.LogCaptureFixture, raised: type[BaseException]
) -> None:
    @site.on_login
    def failing(request_id: str, passport: str | None) -> None:
        raise raised("the host's own")

    @site.on_state
    def failing_too(status: lime_sites.StreamStatus) -> None:
        raise raised("the host's own, too")

    events = listen(site)
    open_stream(site)
    sandbox.push_raw(frames(2))
    assert [events.get(timeout=30)[0] for _ in range(2)] == ["lr_0", "lr_1"]
    failed = [record for record in caplog.records if "on_login handler failed" in record.message]
    assert [record.name for record in failed] == ["lime", "lime"]
    assert failed[0].exc_info is not None
    assert any("on_state handler failed" in record.message for record in caplog.records)


def test_no_event_comes_before_there_is_a_handler_for_it(sandbox: Sandbox, site: SyncLimeSite) -> None:
    states: queue.Queue[str] = queue.Queue()
    site.on_state(lambda status: states.put(status.state))
    site.on_gap(lambda request_ids: None)
    assert site.stream_status.state == "idle", "events would come, and be nobody's"
    assert states.get(timeout=30) == "idle"
    request = site.create_login_request()
    sandbox.approve(request.request_id)
    events = listen(site)
    assert events.get(timeout=30)[0] == request.request_id
    assert [states.get(timeout=30) for _ in range(2)] == ["connecting", "open"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_is_replaced(sandbox: Sandbox, site: SyncLimeSite) -> None:
    """Whatever ended it: what the stream brought meanwhile is handled by the next one."""
    events = listen(site)
    open_stream(site)
    (thread,) = threads_of(site)
    assert thread.ident is not None
    # As a program does that wants to get rid of a thread. Where it is busy with a handler, it stays.
    while thread.is_alive():
        exception = ctypes.py_object(SystemExit)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), exception)
        site._threads[os.getpid()].queue.wake()
        thread.join(0.1)
    sandbox.push_raw(frames(2))
    while site.stream_status.events < 2:
        pass
    again = listen(site)
    assert [again.get(timeout=30)[0] for _ in range(2)] == ["lr_0", "lr_1"]
    assert [events.get(timeout=30)[0] for _ in range(2)] == ["lr_0", "lr_1"]
    sandbox.push_raw(frames(3))  # two of which it has had
    assert again.get(timeout=30)[0] == "lr_2"
    assert len(threads_of(site)) == 1


def test_a_slow_handler_does_not_stop_the_reader_and_the_queue_holds(sandbox: Sandbox) -> None:
    go = threading.Event()
    handled: queue.Queue[str] = queue.Queue()
    with SyncLimeSite(event_queue_limit=10) as site:

        @site.on_login
        def slow(request_id: str, passport: str | None) -> None:
            go.wait(30)
            handled.put(request_id)

        open_stream(site)
        sandbox.push_raw(frames(40))
        while site.stream_status.events < 10:
            pass
        assert handled.empty()
        assert site.stream_status.events == 10, "no more than may wait"
        go.set()
        assert [handled.get(timeout=30) for _ in range(40)] == [f"lr_{n}" for n in range(40)]


def test_closing_waits_for_the_running_handler_and_none_begins_after(
    sandbox: Sandbox, site: SyncLimeSite
) -> None:
    running, go = threading.Event(), threading.Event()
    handled: list[str] = []

    @site.on_login
    def handler(request_id: str, passport: str | None) -> None:
        running.set()
        go.wait(30)
        handled.append(request_id)

    site.on_login(lambda request_id, passport: handled.append("a second handler"))
    open_stream(site)
    sandbox.push_raw(frames(5))
    assert running.wait(30)
    closing = threading.Thread(target=site.close)
    closing.start()
    while site.stream_status.state != "closed":
        pass
    assert closing.is_alive(), "it waits"
    go.set()
    closing.join(30)
    assert not closing.is_alive()
    assert handled == ["lr_0"]
    with pytest.raises(lime_sites.LimeError, match="closed"):
        listen(site)


def test_closing_and_calling_inside_a_handler(sandbox: Sandbox, site: SyncLimeSite) -> None:
    closed: queue.Queue[str] = queue.Queue()

    @site.on_login
    def handler(request_id: str, passport: str | None) -> None:
        status = site.read_login_request(request_id).status
        site.close()
        closed.put(status)

    request = site.create_login_request()
    sandbox.expire(request.request_id)
    assert closed.get(timeout=30) == "EXPIRED"
    assert site.stream_status.state == "closed"


def test_every_state_handler_is_told_the_state_as_it_is(sandbox: Sandbox, site: SyncLimeSite) -> None:
    open_stream(site)
    open_stream(site)


def test_closing_does_not_wait_for_a_log_handler(sandbox: Sandbox, site: SyncLimeSite) -> None:
    """The caller may hold the lock that it waits for."""
    lock, logging_now = threading.Lock(), threading.Event()

    class Locking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging_now.set()
            with lock:
                pass

    open_stream(site)
    request_id = site.create_login_request().request_id
    handler = Locking()
    logging.getLogger("lime").addHandler(handler)
    try:
        with lock:
            sandbox.fault("events", action="cut")
            sandbox.expire(request_id)
            assert logging_now.wait(30)
            site.close()
    finally:
        logging.getLogger("lime").removeHandler(handler)


def test_coroutine_functions_are_refused(site: SyncLimeSite) -> None:
    async def handler(*_: object) -> None: ...

    for register in (site.on_login, site.on_state):
        with pytest.raises(TypeError, match="plain functions"):
            register(handler)
    assert site.stream_status.state == "idle"


def test_the_thread_ends_with_the_site(sandbox: Sandbox) -> None:
    before = set(threading.enumerate())
    for _ in range(20):
        with SyncLimeSite() as site:
            open_stream(site)
            made = set(threading.enumerate()) - before
            assert len(made) == 1
        for thread in made:
            thread.join(30)
    assert set(threading.enumerate()) <= before


def test_threads_that_register_at_once_share_one_stream(sandbox: Sandbox) -> None:
    for _ in range(10):
        with SyncLimeSite() as site:
            start = threading.Barrier(8)
            events: queue.Queue[str] = queue.Queue()

            def register(site: SyncLimeSite = site, events: queue.Queue[str] = events) -> None:
                start.wait()  # noqa: B023
                site.on_login(lambda request_id, passport: events.put(request_id))

            threads = [threading.Thread(target=register) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            open_stream(site)
            sandbox.push_raw(frames(1))
            assert [events.get(timeout=30) for _ in range(8)] == ["lr_0"] * 8
            # Of threads that were made at once all but one end again; they may need a moment for that.
            deadline = time.monotonic() + 30
            while len(threads_of(site)) > 1 and time.monotonic() < deadline:
                time.sleep(0)
            assert len(threads_of(site)) == 1


def threads_of(site: SyncLimeSite) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"lime-site-{site._id}"]


class Failing:
    """A native site whose stream cannot be started the first time."""

    def __init__(self, native: Any, failure: BaseException) -> None:
        self._native = native
        self._failures = [failure]

    def start_events(self, queue: Any) -> None:
        if self._failures:
            raise self._failures.pop()
        self._native.start_events(queue)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._native, name)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
def test_a_stream_that_did_not_start_starts_with_the_next_handler(
    sandbox: Sandbox, site: SyncLimeSite, failure: type[BaseException]
) -> None:
    site._native = Failing(site._native, failure())  # type: ignore[assignment]
    events: queue.Queue[str] = queue.Queue()
    with pytest.raises(failure):
        site.on_login(lambda request_id, passport: events.put("of the handler that was not registered"))
    site.on_login(lambda request_id, passport: events.put(request_id))
    open_stream(site)
    sandbox.push_raw(frames(2))
    assert [events.get(timeout=30) for _ in range(2)] == ["lr_0", "lr_1"]
    assert len(threads_of(site)) == 1


@pytest.mark.parametrize("runs", [False, True], ids=["no thread", "a thread that runs all the same"])
def test_a_thread_that_did_not_start_starts_with_the_next_handler(
    sandbox: Sandbox, site: SyncLimeSite, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    """As where the system gives no more threads, and with Ctrl-C while one starts."""
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if runs:
            start(thread)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError, match="new thread"):
        site.on_login(lambda request_id, passport: None)
    monkeypatch.undo()
    events = listen(site)
    open_stream(site)
    sandbox.push_raw(frames(2))
    assert [events.get(timeout=30)[0] for _ in range(2)] == ["lr_0", "lr_1"]
    assert len(threads_of(site)) == 1


def test_log_records_are_written_by_the_waiting_thread(
    sandbox: Sandbox, site: SyncLimeSite, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="lime"):
        sandbox.fault("create_request", status=503)
        site.create_login_request()
    records = [record for record in caplog.records if record.name == "lime"]
    assert any("Retrying POST" in record.getMessage() for record in records)
    assert {record.thread for record in records} == {threading.get_ident()}


@pytest.mark.parametrize(
    "call", ["SyncLimeAgent(pow_timeout=3600).login(request_id)", "site.wait_for_login(request_id)"]
)
def test_ctrl_c_is_heard(sandbox: Sandbox, call: str) -> None:
    sandbox.control("PUT", "/settings", {"pow_difficulty": 60})
    program = f"""
        import signal, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has none
        from lime_agents import SyncLimeAgent
        from lime_sites import SyncLimeSite
        site = SyncLimeSite()
        request_id = site.create_login_request().request_id
        print("ready", flush=True)
        try:
            {call}
        except KeyboardInterrupt:
            print(time.monotonic(), flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    route = "challenge" if "login(request_id)" in call and "Agent" in call else "events"
    while not sandbox.received(route):
        pass
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    try:
        out, err = child.communicate(timeout=30)
    finally:
        child.kill()  # or it would search on for an hour
    assert err == ""
    assert float(out) - sent < 0.5


def test_no_handler_is_in_the_library_when_the_interpreter_ends(sandbox: Sandbox) -> None:
    """Its thread would be ended there by unwinding, which aborts the process on CPython before 3.14."""
    program = """
        import atexit, threading
        handled = threading.Event()

        def last():  # runs after the library's own
            entered = []
            thread = next(iter(site._threads.values()))
            class Queue:
                def take(self):
                    entered.append(True)
                    return thread_queue.take()
            thread_queue, thread.queue = thread.queue, Queue()
            handled.clear()
            thread_queue.wake()
            thread._thread.join(30)
            print(thread._thread.is_alive(), entered, handled.is_set())

        atexit.register(last)
        from lime_agents import SyncLimeAgent
        from lime_sites import SyncLimeSite
        site = SyncLimeSite()
        site.on_login(lambda request_id, passport: handled.set())
        SyncLimeAgent().login(site.create_login_request().request_id)
        assert handled.wait(30)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr, done.returncode) == ("False [] False\n", "", 0)


def test_a_login_reports_its_progress(sandbox: Sandbox, site: SyncLimeSite) -> None:
    sandbox.control("PUT", "/settings", {"pow_difficulty": 40})
    seen: list[LoginProgress] = []
    threads: set[int] = set()

    class Enough(Exception):
        pass

    def show(progress: LoginProgress) -> None:
        seen.append(progress)
        threads.add(threading.get_ident())
        if progress.stage == "pow" and progress.hashes and len(seen) > 3:
            raise Enough

    def check() -> None:
        first, last = seen[0], seen[-1]
        assert (first.stage, first.hashes, first.expected, first.left) == ("challenge", 0, None, 60.0)
        assert (last.stage, last.expected) == ("pow", 2**40)
        assert [p.hashes for p in seen] == sorted(p.hashes for p in seen)
        assert [p.elapsed for p in seen] == sorted(p.elapsed for p in seen)
        assert 0 < last.left < 60.0
        assert threads == {threading.get_ident()}
        seen.clear()

    request_id = site.create_login_request().request_id
    with SyncLimeAgent(pow_timeout=60) as agent, pytest.raises(Enough):
        agent.login(request_id, on_progress=show)
    check()

    async def main() -> None:
        async with LimeAgent(pow_timeout=60) as agent:
            with pytest.raises(Enough):
                await agent.login(request_id, on_progress=show)

    asyncio.run(main())
    check()

    sandbox.control("PUT", "/settings", {"pow_difficulty": 4})
    easy = site.create_login_request().request_id
    with SyncLimeAgent() as agent:
        agent.login(easy, on_progress=seen.append)
    assert (seen[-1].stage, seen[-1].expected) == ("done", 16)
    assert seen[-1].hashes > 0


def test_waits_report_their_progress(sandbox: Sandbox, site: SyncLimeSite) -> None:
    seen: list[WaitProgress] = []

    def check(timeout: float) -> None:
        assert seen[0] == WaitProgress(0.0, None if timeout == math.inf else timeout)
        assert len(seen) > 2
        for earlier, later in itertools.pairwise(seen):
            assert later.elapsed > earlier.elapsed
            assert later.left is None or later.left == pytest.approx(timeout - later.elapsed)
        seen.clear()

    class Enough(Exception):
        pass

    def show(progress: WaitProgress) -> None:
        seen.append(progress)
        if len(seen) == 4:
            raise Enough

    request_id = site.create_login_request().request_id
    with pytest.raises(Enough):
        site.wait_for_login(request_id, timeout=60, on_progress=show)
    check(60)
    with Sesame() as client, pytest.raises(Enough):
        client.approvals.trigger("a", "b").wait(timeout=None, on_progress=show)
    check(math.inf)

    ran = []
    with Sesame() as client:

        @require_approval("a", client=client, timeout=60, on_progress=show)
        def gated() -> None:
            ran.append(1)

        with pytest.raises(Enough):
            gated()
    check(60)
    assert ran == []

    async def main() -> None:
        async with LimeSite() as waiting, AsyncSesame() as client:
            with pytest.raises(Enough):
                await waiting.wait_for_login(request_id, timeout=60, on_progress=show)
            check(60)
            approval = await client.approvals.trigger("a", "b")
            with pytest.raises(Enough):
                await approval.wait(timeout=60, on_progress=show)
            check(60)

    asyncio.run(main())


async def shown_later(progress: object) -> None: ...


class ShownLater:
    async def __call__(self, progress: object) -> None: ...


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("show", [shown_later, ShownLater(), lambda progress: shown_later(progress)])
def test_progress_is_told_to_plain_functions(sandbox: Sandbox, site: SyncLimeSite, show: Any) -> None:
    """Nobody would await what a coroutine function gives."""

    def refused() -> Any:
        return pytest.raises(TypeError, match="on_progress must be a plain function")

    request_id = site.create_login_request().request_id
    with SyncLimeAgent() as agent:
        for blocking in (agent.login, agent.approve, site.wait_for_login):
            with refused():
                blocking(request_id, on_progress=show)
    with Sesame() as client, refused():
        client.approvals.trigger("a", "b").wait(on_progress=show)

    async def main() -> None:
        async with LimeAgent() as agent, LimeSite() as waiting, AsyncSesame() as client:
            for call in (agent.login, agent.approve, waiting.wait_for_login):
                with refused():
                    await call(request_id, on_progress=show)
            approval = await client.approvals.trigger("a", "b")
            with refused():
                await approval.wait(on_progress=show)

    asyncio.run(main())
    assert sandbox.received("challenge") == []
    # What a function gives is its own affair, if it does not wait for anybody.
    with SyncLimeAgent() as agent:
        agent.login(request_id, on_progress=lambda progress: progress)


def test_a_forked_child_has_a_stream_of_its_own_when_it_asks(sandbox: Sandbox, site: SyncLimeSite) -> None:
    handled: list[str] = []
    got = threading.Event()

    @site.on_login
    def handler(request_id: str, passport: str | None) -> None:
        handled.append(request_id)
        got.set()

    open_stream(site)
    child = os.fork()
    if child == 0:
        status = 9
        try:
            signal.alarm(30)
            assert site.stream_status.state == "idle"
            request = site.create_login_request()
            assert site.stream_status.state == "idle", "a call does not ask for the stream"
            got.clear()
            open_stream(site)
            sandbox.expire(request.request_id)
            assert site.wait_for_login(request.request_id) is None
            assert got.wait(20)
            site.close()
            status = 7
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    request = site.create_login_request()
    sandbox.expire(request.request_id)
    assert site.wait_for_login(request.request_id, timeout=30) is None
