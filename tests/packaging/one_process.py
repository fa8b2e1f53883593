"""The Python module and copies of liblime.so in one process: all of them sign in at once, and with each other.

python one_process.py MODE LIBRARY [LIBRARY ...]      MODE: local or global
"""

import asyncio
import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lime_agents import LimeAgent
from lime_sites import LimeSite, StreamStatus

LOGINS = 5
Handle = ctypes.c_void_p
Requested = ctypes.CFUNCTYPE(None, Handle, ctypes.c_int32, Handle, Handle)
State = ctypes.CFUNCTYPE(None, Handle, ctypes.c_int32, Handle)
OPEN = 2


class Library:
    """One copy of liblime.so: a site and an agent of its own."""

    def __init__(self, path: str, mode: int) -> None:
        self.path = path
        self.lime = ctypes.CDLL(path, mode=mode)
        for name in (
            "lime_error_message",
            "lime_login_request_request_id",
            "lime_login_event_passport",
            "lime_passport_text_claim",
        ):
            getattr(self.lime, name).restype = ctypes.c_char_p
        self.site = self.made("lime_site_new", None)
        self.agent = self.made("lime_agent_new", None)

    def made(self, function: str, *arguments: object) -> Handle:
        """Call a function that can fail; what it has made."""
        result, error = Handle(), Handle()
        status = getattr(self.lime, function)(*arguments, ctypes.byref(result), ctypes.byref(error))
        if status != 0:
            raise RuntimeError(f"{self.path}: {function}: {status}: {self.lime.lime_error_message(error)}")
        return result

    @contextmanager
    def freed(self, kind: str, function: str, *arguments: object) -> Iterator[Handle]:
        handle = self.made(function, *arguments)
        yield handle
        getattr(self.lime, f"lime_{kind}_free")(handle)

    def create(self) -> str:
        with self.freed("login_request", "lime_site_create_login_request", self.site) as request:
            return self.lime.lime_login_request_request_id(request).decode()

    def approve(self, request_id: str) -> None:
        with self.freed("approval_result", "lime_agent_login", self.agent, request_id.encode()):
            pass

    def signed_in(self, request_id: str) -> None:
        """Wait for the end of a login and verify its passport."""
        wanted = request_id.encode()
        wait = ("lime_site_wait_for_login", self.site, wanted, ctypes.c_uint64(60_000))
        with self.freed("login_event", *wait) as event:
            jwt = self.lime.lime_login_event_passport(event)
            with self.freed("passport", "lime_site_verify_passport", self.site, jwt, wanted, 0) as passport:
                assert self.lime.lime_passport_text_claim(passport, b"request_id") == wanted

    async def started(self) -> int:
        """A started call, whose callback comes from this copy's own dispatcher thread; its number."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        statuses: list[int] = []

        @Requested
        def requested(_: object, status: int, request: int, error: int) -> None:
            self.lime.lime_login_request_free(Handle(request))
            self.lime.lime_error_free(Handle(error))
            statuses.append(status)
            loop.call_soon_threadsafe(done.set)

        number = ctypes.c_uint64()
        begin = self.lime.lime_site_create_login_request_start
        assert begin(self.site, requested, None, None, ctypes.byref(number), None) == 0
        await done.wait()
        assert statuses == [0]
        return number.value

    async def opened(self) -> None:
        """Start the event stream; an event that came before it is another's."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        @State
        def changed(_: object, state: int, error: int) -> None:
            if state == OPEN:
                loop.call_soon_threadsafe(done.set)

        self.handler = changed  # it is called for as long as the site lives
        assert self.lime.lime_site_on_state(self.site, changed, None, None, None) == 0
        assert self.lime.lime_site_start_events(self.site, None) == 0
        await done.wait()

    def free(self) -> None:
        self.lime.lime_agent_free(self.agent)
        self.lime.lime_site_free(self.site)


def threads(name: str) -> int:
    return sum(path.read_text().strip() == name for path in Path("/proc/self/task").glob("*/comm"))


async def main() -> None:
    mode = {"local": ctypes.RTLD_LOCAL, "global": ctypes.RTLD_GLOBAL}[sys.argv[1]]
    libraries = [Library(path, mode) for path in sys.argv[2:]]
    # Each has numbers of its own: no copy uses another's variables.
    assert [await library.started() for library in libraries] == [1] * len(libraries)
    for library in libraries:
        await library.opened()

    async with LimeSite() as site, LimeAgent() as agent:
        opened = asyncio.Event()

        @site.on_state
        def changed(status: StreamStatus) -> None:
            if status.state == "open":
                opened.set()

        await opened.wait()

        async def python() -> None:
            for _ in range(LOGINS):
                request = await site.create_login_request()
                await agent.login(request.request_id)
                passport = await site.wait_for_login(request.request_id)
                assert passport is not None
                await site.verify_passport(passport, expected_request_id=request.request_id)

        def c(library: Library) -> None:
            for _ in range(LOGINS):
                request_id = library.create()
                library.approve(request_id)
                library.signed_in(request_id)

        await asyncio.gather(python(), *(asyncio.to_thread(c, library) for library in libraries))
        for library in libraries:
            # One asks, another confirms.
            request_id = await asyncio.to_thread(library.create)
            await agent.login(request_id)
            await asyncio.to_thread(library.signed_in, request_id)
            request = await site.create_login_request()
            await asyncio.to_thread(library.approve, request.request_id)
            assert await site.wait_for_login(request.request_id)
        assert threads("lime-runtime") == len(libraries) + 1
        for library in libraries:
            library.free()
    assert threads("lime-runtime") == 0
    print(f"{len(libraries) + 1} artefacts signed in")


asyncio.run(main())
