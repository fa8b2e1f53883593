"""Many times, at once, and at the wrong moment: exits, forks, loops, cancellation, threads.

What one run of each does is in test_processes.py, test_loops.py and test_calls.py; here it is done often.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Sandbox, until_open

from lime_agents import LimeAgent, SyncLimeAgent
from lime_sdk import _client
from lime_sites import LimeSite, SyncLimeSite
from sesame_sdk import AsyncSesame, Sesame

# Runs of each kind of exit, of which there are six.
EXITS = 20
FORKS = 200
LOOPS = 500


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", *arguments, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def outcome(found: subprocess.CompletedProcess[str]) -> tuple[str, str, int]:
    return found.stdout, found.stderr, found.returncode


@contextmanager
def events_without_end(sandbox: Sandbox) -> Iterator[None]:
    frames = "".join(f'data: {{"type":"expired","login_request_id":"lr_{n}"}}\n\n' for n in range(100))
    going = True

    def push() -> None:
        while going:
            sandbox.push_raw(frames)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        going = False
        thread.join()


BEFORE_EXIT = """
    import asyncio, atexit, os, sys, threading, time
    from lime_agents import LimeAgent, SyncLimeAgent
    from lime_sites import LimeSite, SyncLimeSite
    from sesame_sdk import Sesame

    class Slow:
        # Ends late, when daemon threads find no interpreter any more.
        def __del__(self, sleep=time.sleep): sleep(0.15)
    slow = Slow()
    handling = threading.Event()
"""

KINDS = {
    "events come fast, loop": """
        async def main():
            site = LimeSite()
            @site.on_login
            async def handler(request_id, passport): handling.set()
            while not handling.is_set(): await asyncio.sleep(0)
        asyncio.run(main())
    """,
    "events come fast, thread": """
        site = SyncLimeSite()
        site.on_state(lambda status: None)
        site.on_login(lambda request_id, passport: handling.set())
        handling.wait()
    """,
    "in handlers": """
        site = SyncLimeSite()
        @site.on_login
        def handler(request_id, passport):
            handling.set()
            SyncLimeAgent().get_profile()
        handling.wait()
        async def main():
            site, began = LimeSite(), asyncio.Event()
            @site.on_login
            async def handler(request_id, passport):
                began.set()
                await asyncio.sleep(3600)
            await began.wait()
        asyncio.run(main())
    """,
    "calls pending": """
        agent, sesame = SyncLimeAgent(), Sesame()
        approval = sesame.approvals.trigger("a", "b")
        for call in (agent.get_profile, approval.wait):
            threading.Thread(target=call, daemon=True).start()
        async def main():
            calls = [asyncio.ensure_future(LimeAgent().get_profile()) for _ in range(20)]
            await asyncio.sleep(0.05)
        asyncio.run(main())
    """,
    "in atexit": """
        site = SyncLimeSite()
        site.on_login(lambda request_id, passport: handling.set())
        @atexit.register
        def last():
            assert site.create_login_request().status == "PENDING"
            async def main():
                async with LimeSite() as site:
                    await site.create_login_request()
            asyncio.run(main())
            assert SyncLimeSite().create_login_request().status == "PENDING"
        handling.wait()
    """,
    "daemon threads in calls and making clients": """
        site = SyncLimeSite()
        def work():
            while True:
                site.create_login_request()
                with SyncLimeSite() as other:
                    other.stream_status
                handling.set()
        for _ in range(3): threading.Thread(target=work, daemon=True).start()
        handling.wait()
    """,
}


@pytest.mark.parametrize("kind", KINDS)
def test_exits_are_silent(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault("profile", action="half_open", count=0)
    program = textwrap.dedent(BEFORE_EXIT) + textwrap.dedent(KINDS[kind])
    with events_without_end(sandbox), ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda _: python(program), range(EXITS)))
    assert [outcome(found) for found in ended] == [("", "", 0)] * EXITS


def test_forks_under_load(sandbox: Sandbox) -> None:
    with events_without_end(sandbox):
        found = python(
            f"""
            import os, signal, threading
            from lime_agents import SyncLimeAgent
            from lime_sites import SyncLimeSite
            from sesame_sdk import Sesame

            agent, site, sesame = SyncLimeAgent(), SyncLimeSite(), Sesame()
            before_use = SyncLimeAgent()
            handled = threading.Event()
            site.on_login(lambda request_id, passport: handled.set())
            handled.wait()
            going = True

            def work():
                while going:
                    site.create_login_request()
                    agent.get_profile()

            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads: thread.start()
            for turn in range({FORKS}):
                child = os.fork()
                if child == 0:
                    signal.alarm(20)
                    (agent, before_use)[turn % 2].get_profile()
                    if turn % 10 == 0:
                        site.create_login_request()
                        sesame.approvals.trigger("a", "b")
                        site.close()
                    os._exit(7)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                assert status == 7, (turn, status)
            going = False
            for thread in threads: thread.join()
            site.close()
            print("done")
            """
        )
    assert outcome(found) == ("done\n", "", 0)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(sandbox: Sandbox, tmp_path: Path, method: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import asyncio, multiprocessing, threading
            from lime_agents import LimeAgent, SyncLimeAgent
            from lime_sites import SyncLimeSite

            def work(_):
                with SyncLimeSite() as site, SyncLimeAgent() as agent:
                    # Else the platform may deliver to the other worker's stream alone.
                    opened = threading.Event()
                    site.on_login(lambda request_id, passport: None)
                    site.on_state(lambda status: opened.set() if status.state == "open" else None)
                    assert opened.wait(30)
                    request = site.create_login_request()
                    agent.login(request.request_id)
                    assert site.wait_for_login(request.request_id, timeout=30) is not None
                    asyncio.run(LimeAgent().get_profile())
                return agent_id(SyncLimeAgent())

            def agent_id(agent):
                return agent.get_profile().agent_id

            if __name__ == "__main__":
                used = SyncLimeAgent()
                expected = agent_id(used)
                context = multiprocessing.get_context({method!r})
                context.set_forkserver_preload(["lime_agents", "lime_sites"])
                with context.Pool(2) as pool:
                    assert set(pool.map(work, range(4))) == {{expected}}
                assert agent_id(used) == expected
                print("done")
            """
        )
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(program)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome(found) == ("done\n", "", 0)


def uv_loop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop")
    return uvloop.new_event_loop()  # type: ignore[no-any-return]


def debug_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    return loop


def run(make_loop: Callable[[], asyncio.AbstractEventLoop], main: Any) -> Any:
    """As asyncio.run does it, on a loop of this kind."""
    loop = make_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks))
        loop.close()


LOOP_KINDS = pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, debug_loop, uv_loop])


async def main_job() -> None:
    async with LimeSite() as site, LimeAgent() as agent:
        thread, loop = threading.get_ident(), asyncio.get_running_loop()
        seen: asyncio.Future[Any] = loop.create_future()

        @site.on_login
        async def handler(request_id: str, passport: str | None) -> None:
            seen.set_result((request_id, threading.get_ident(), asyncio.get_running_loop()))

        request = await site.create_login_request()
        await agent.login(request.request_id)
        assert await asyncio.wait_for(seen, 30) == (request.request_id, thread, loop)


def assert_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    # asyncio's debug mode says what takes long, which is for the machine to decide.
    said = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert [text for text in said if not text.startswith(("Executing", "Using selector"))] == []


@LOOP_KINDS
def test_the_main_job_on_every_kind_of_loop(
    sandbox: Sandbox, make_loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    run(make_loop, main_job())
    assert_nothing_said(caplog)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner came with Python 3.11")
def test_the_main_job_in_a_runner_in_debug_mode(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with asyncio.Runner(debug=True) as runner:
        for _ in range(3):
            runner.run(main_job())
    assert_nothing_said(caplog)


@LOOP_KINDS
@pytest.mark.parametrize("end", ["cancelled", "abandoned"])
def test_loops_that_end_with_a_call_pending(
    sandbox: Sandbox,
    make_loop: Callable[[], asyncio.AbstractEventLoop],
    end: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sandbox.fault("profile", action="half_open", count=0)
    agent = LimeAgent()

    async def main() -> None:
        pending = asyncio.ensure_future(agent.get_profile())
        await asyncio.sleep(0)
        assert not pending.done()
        if end == "cancelled":
            pending.cancel()
            await asyncio.wait([pending])

    for _ in range(LOOPS if make_loop is asyncio.new_event_loop else LOOPS // 5):
        run(make_loop, main())
    assert capfd.readouterr() == ("", "")


def test_late_completions_on_a_closed_loop_are_dropped(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.fault("profile", delay_ms=300, count=0)
    agent = LimeAgent()
    kept = []

    async def main() -> None:
        kept.append(asyncio.ensure_future(agent.get_profile()))
        await asyncio.sleep(0)

    for _ in range(20):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    sandbox.control("GET", "/received?route=profile&min=20&wait_ms=20000")
    asyncio.run(LimeAgent().get_profile())  # the library's thread has handed on what came before this
    assert not any(task.done() for task in kept)
    for task in kept:
        task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio's own word on such a task
    assert capfd.readouterr() == ("", "")


def test_several_loops_in_several_threads(sandbox: Sandbox) -> None:
    agent = LimeAgent()  # one for all
    answers: list[str] = []

    async def main() -> None:
        async with LimeSite() as site:
            await until_open(site)
            requests = await asyncio.gather(*(site.create_login_request() for _ in range(5)))
            assert len({request.request_id for request in requests}) == 5
            answers.append((await agent.get_profile()).agent_id)

    def work(kind: Callable[[], asyncio.AbstractEventLoop]) -> None:
        for _ in range(10):
            run(kind, main())

    kinds = [asyncio.new_event_loop, debug_loop, uv_loop, asyncio.new_event_loop]
    threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 40
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    ("route", "call"),
    [
        ("profile", lambda site, agent, sesame: agent.get_profile()),
        ("create_request", lambda site, agent, sesame: site.create_login_request()),
        ("trigger_approval", lambda site, agent, sesame: sesame.approvals.trigger("a", "b")),
    ],
    ids=["profile", "create_request", "trigger_approval"],
)
def test_a_cancelled_call_ends_its_request(sandbox: Sandbox, route: str, call: Callable[..., Any]) -> None:
    sandbox.fault(route, delay_ms=60_000, count=0)

    async def once(turn: int, *clients: Any) -> float:
        pending = asyncio.ensure_future(call(*clients))
        while len(await asyncio.to_thread(sandbox.received, route)) <= turn:
            pass
        cancelled = time.monotonic()
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        while (await asyncio.to_thread(sandbox.received, route))[turn]["status"] != "gone":
            assert time.monotonic() - cancelled < 20, "the request goes on"
        return time.monotonic() - cancelled

    async def main() -> list[float]:
        async with LimeSite() as site, LimeAgent() as agent, AsyncSesame() as sesame:
            return [await once(turn, site, agent, sesame) for turn in range(5)]

    # The bound, for the best of five: the machine has other things to do.
    assert min(asyncio.run(main())) < 0.2


def test_a_cancelled_proof_of_work_stops(sandbox: Sandbox) -> None:
    sandbox.control("PUT", "/settings", {"pow_difficulty": 40})

    async def main() -> None:
        async with LimeSite() as site, LimeAgent(pow_timeout=3600, pow_threads=2) as agent:
            request = await site.create_login_request()
            await site.aclose()
            progress = agent._native.progress()
            login = asyncio.ensure_future(
                _client.call(None, agent._native.login, request.request_id, progress)
            )
            while progress.read()[1] < 100_000:
                await asyncio.sleep(0.01)
            login.cancel()
            with pytest.raises(asyncio.CancelledError):
                await login
            await asyncio.sleep(0.05)  # the bound
            tried, spent = progress.read()[1], time.process_time()
            await asyncio.sleep(0.5)
            assert progress.read()[1] == tried, "it is still searching"
            assert time.process_time() - spent < 0.1

    asyncio.run(main())


def test_subinterpreters_are_told_what_to_do() -> None:
    found = python(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        import lime_agents
        lime_agents.LimeAgent

        program = '''
        from importlib import import_module
        # As programs do it: the name of a package, and of a module of one.
        for module, name in ("lime_agents", "LimeAgent"), ("lime_sites._site", None), ("sesame_sdk", "Sesame"):
            try:
                found = import_module(module)
                name and getattr(found, name)
            except ImportError as error:
                print(type(error).__name__, str(error)[:40], flush=True)
        '''
        import textwrap
        number = interpreters.create()
        assert interpreters.run_string(number, textwrap.dedent(program)) is None
        """
    )
    told = "ImportError lime does not work in subinterpreters: i\n"
    assert outcome(found) == (told * 3, "", 0)


def test_threads_return_to_where_they_were(sandbox: Sandbox) -> None:
    def tasks() -> int:
        return len(os.listdir("/proc/self/task"))

    async def main() -> None:
        async with LimeSite() as site, LimeAgent() as agent, AsyncSesame() as sesame:
            await until_open(site)
            request = await site.create_login_request()
            await agent.login(request.request_id)
            await sesame.approvals.trigger("a", "b")

    before = tasks()
    for _ in range(20):
        with SyncLimeSite() as site, SyncLimeAgent() as agent, Sesame() as sesame:
            site.on_login(lambda request_id, passport: None)
            agent.login(site.create_login_request().request_id)
            sesame.approvals.trigger("a", "b")
        asyncio.run(main())
    # Threads of proofs of work stay for a second, in case of another one.
    deadline = time.monotonic() + 30
    while tasks() > before:
        assert time.monotonic() < deadline, f"{tasks()} threads, {before} before"
