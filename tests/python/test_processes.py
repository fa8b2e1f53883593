"""Processes: what an import costs, fork, and interpreter exit in every state."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from conftest import Sandbox


def python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_import_starts_no_thread_and_imports_nothing_dear() -> None:
    found = python(
        """
        import os, sys
        DEAR = "httpx", "pydantic", "asyncio", "ssl", "logging", "typing", "dataclasses"
        threads = len(os.listdir("/proc/self/task"))
        files = len(os.listdir("/proc/self/fd"))
        import lime_sites, lime_agents, lime_mcp_server
        dear = [name for name in DEAR if name in sys.modules]
        agent = lime_agents.LimeAgent(agent_token="at_x")
        verifier = lime_mcp_server.TokenVerifier(expected_domain="tools.example.com")
        assert len(os.listdir("/proc/self/task")) == threads
        assert len(os.listdir("/proc/self/fd")) == files
        print(dear)
        """,
        "-B",
    )
    assert (found.stdout, found.stderr, found.returncode) == ("[]\n", "", 0)


FORK = """
    import asyncio, os, sys
    from lime_agents import LimeAgent
    from lime_sites import LimeSite

    agent = LimeAgent()

    async def use(site):
        request = await site.create_login_request()
        result = await agent.login(request.request_id)
        assert (await agent.get_profile()).agent_id == result.approved_agent_id
        return await site.wait_for_login(request.request_id, timeout=20)

    async def main():
        async with LimeSite() as site:
            assert await use(site) is not None
            return site

    kept = asyncio.run(main())
    asyncio.run(main())
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            asyncio.run(main())
            asyncio.run(agent.get_profile())
            sys.exit(7)
        children.append(child)
    asyncio.run(main())
    for child in children:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
    asyncio.run(main())
    print("done")
"""


def test_fork_after_use(sandbox: Sandbox) -> None:
    found = python(FORK, "-W", "ignore::DeprecationWarning")
    assert (found.stdout, found.stderr, found.returncode) == ("done\n", "", 0)


def test_fork_while_the_parent_is_busy(sandbox: Sandbox) -> None:
    """The child is forked from another thread, while a loop, a stream and calls are under way."""
    found = python(
        """
        import asyncio, os, sys, threading
        from lime_agents import LimeAgent
        from lime_sites import LimeSite

        agent = LimeAgent()

        def fork():
            child = os.fork()
            if child == 0:
                asyncio.run(agent.get_profile())
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        async def main():
            async with LimeSite() as site:
                async def busy():
                    while True:
                        await asyncio.gather(*(site.create_login_request() for _ in range(20)))
                task = asyncio.ensure_future(busy())
                for _ in range(20):
                    assert await asyncio.to_thread(fork) == 7
                task.cancel()

        asyncio.run(main())
        print("done")
        """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert (found.stdout, found.stderr, found.returncode) == ("done\n", "", 0)


EXITS = {
    "loop ends with stream and call": "asyncio.run(main())",
    "sys.exit in the loop": "asyncio.run(main(sys.exit))",
    "loop never closed": "loop = asyncio.new_event_loop(); loop.run_until_complete(main())",
    "clients outlive the loop": "kept = asyncio.run(main())",
    "injected client": "import httpx; asyncio.run(main(client=httpx.AsyncClient()))",
}

EXIT = """
    import asyncio, os, sys
    from lime_agents import LimeAgent
    from lime_sites import LimeSite

    async def main(end=lambda: None, client=None):
        site, agent = LimeSite(http_client=client), LimeAgent(http_client=client)
        opened = asyncio.Event()
        site.on_state(lambda status: opened.set() if status.state == "open" else None)
        pending = asyncio.ensure_future(agent.get_profile())
        await opened.wait()
        end()
        return site, agent, pending

    {run}
"""


@pytest.mark.parametrize("run", EXITS.values(), ids=EXITS.keys())
def test_exit_is_silent_every_time(sandbox: Sandbox, run: str) -> None:
    sandbox.fault("profile", action="half_open", count=0)
    program = textwrap.dedent(EXIT).format(run=run)
    for _ in range(100 if run == "asyncio.run(main())" else 10):
        found = python(program)
        stderr = found.stderr
        if "new_event_loop" in run:  # asyncio's own word on a loop that nobody closed
            lines = stderr.splitlines()
            stderr = "".join(line for line in lines if not line.startswith(("Task was destroyed", "task:")))
        assert (found.stdout, stderr, found.returncode) == ("", "", 0)


def test_fork_while_signing_keys_are_fetched(sandbox: Sandbox) -> None:
    """The lock over a fetch is the parent's; the child fetches for itself."""
    found = python(
        """
        import asyncio, os
        from lime_sites import LimeSite

        async def main():
            async with LimeSite() as site:
                request = await site.create_login_request()
                await asyncio.to_thread(approve, request.request_id)
                passport = await site.wait_for_login(request.request_id)
                fault("jwks", action="half_open")
                pending = asyncio.ensure_future(site.verify_passport(passport))
                while not received("jwks"):
                    await asyncio.sleep(0)
                child = os.fork()
                if child == 0:
                    os._exit(7 if in_child(site, passport) else 8)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                pending.cancel()

        def in_child(site, passport):
            import threading
            verified = []
            def run():
                # The child's thread has no loop running in it, so it can have one of its own.
                verified.append(asyncio.run(site.verify_passport(passport)))
            thread = threading.Thread(target=run)
            thread.start()
            thread.join(20)
            return bool(verified)

        import json, urllib.request
        def control(method, path, body=None):
            data = None if body is None else json.dumps(body).encode()
            headers = {"Content-Type": "application/json"}
            url = os.environ["CONTROL"] + path
            return json.loads(urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)).read())
        def approve(id): control("POST", f"/login-requests/{id}/approve", {})
        def fault(route, **rule): control("POST", "/faults", {"route": route, **rule})
        def received(route): return [e for e in control("GET", "/received")["received"] if e["route"] == route]

        asyncio.run(main())
        print("done")
        """,
        "-W",
        "ignore::DeprecationWarning",
        CONTROL=sandbox.control_url,
    )
    assert (found.stdout, found.stderr, found.returncode) == ("done\n", "", 0)


def test_fork_while_another_thread_looks_at_the_stream(sandbox: Sandbox) -> None:
    found = python(
        """
        import asyncio, os, signal, threading
        from lime_sites import LimeSite

        async def main():
            site = LimeSite()
            going = True
            def look():
                while going:
                    site.stream_status
            threads = [threading.Thread(target=look) for _ in range(2)]
            for thread in threads: thread.start()
            for _ in range(30):
                child = os.fork()
                if child == 0:
                    signal.alarm(10)
                    site.stream_status
                    site._native.close()
                    os._exit(7)
                status = await asyncio.to_thread(os.waitpid, child, 0)
                assert os.waitstatus_to_exitcode(status[1]) == 7, status
            going = False
            for thread in threads: thread.join()
            await site.aclose()

        asyncio.run(main())
        print("done")
        """,
        "-W",
        "ignore::DeprecationWarning",
    )
    assert (found.stdout, found.stderr, found.returncode) == ("done\n", "", 0)
