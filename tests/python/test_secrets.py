"""Nothing secret in any log record, error, traceback or repr; and log handlers that take locks."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from conftest import Sandbox

from lime_agents import LimeAgent, SyncLimeAgent
from lime_sites import LimeSite, SyncLimeSite
from sesame_sdk import (
    AsyncSesame,
    ReplayGuard,
    Sesame,
    require_approval,
    sign_webhook,
    verify_webhook,
)

FAILURES: list[dict[str, Any]] = [
    {"status": 400},
    {"status": 401},
    {"status": 403},
    {"status": 404},
    {"status": 429, "headers": {"Retry-After": "1000"}},
    {"status": 503},
    {"action": "garbage"},
    {"action": "cut"},
    {"action": "drop_before"},
    {"action": "drop_after"},
    {"action": "redirect", "location": "http://127.0.0.1:1/"},
    {"action": "half_open"},
]


HANDED_OVER = ("jwt", "passport", "args", "handler", "secret", "secrets", "context", "request", "settings")


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that stands behind it."""
    todo, seen = [error], set[int]()
    while todo:
        found = todo.pop()
        if id(found) not in seen:
            seen.add(id(found))
            todo += [behind for behind in (found.__cause__, found.__context__) if behind is not None]
            yield found


def own_locals(error: BaseException) -> Iterator[tuple[str, str]]:
    """What a reporter of errors shows of the library's own frames; what other frames hold is theirs.

    What the caller handed over for just this call is in these frames as it is in the caller's.
    """
    for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
        if any(package in frame.filename for package in ("/lime_s", "/lime_agents/", "/sesame_")):
            yield from (frame.locals or {}).items()


class Everything:
    """What a program could show of what it got from the library."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.secrets: set[str] = set()
        self.failures = 0

    def shown(self, *objects: Any) -> None:
        for shown in objects:
            self.texts += [repr(shown), str(shown), repr(getattr(shown, "__dict__", ""))]

    def failed(self, error: BaseException) -> None:
        self.failures += 1
        self.texts += traceback.format_exception(type(error), error, error.__traceback__)
        for seen in chain(error):
            self.texts += [str(seen), repr(seen), repr(seen.args), repr(seen.__dict__)]
            self.texts += [f"{k}={v}" for k, v in own_locals(seen) if k not in HANDED_OVER]

    def tried(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            self.failed(error)

    async def awaited(self, call: Any) -> Any:
        try:
            return await call
        except Exception as error:
            self.failed(error)


@pytest.fixture
def everything(sandbox: Sandbox) -> Iterator[Everything]:
    found = Everything()
    found.secrets |= {
        sandbox.site_token,
        sandbox.agent_token,
        sandbox.sesame_api_key,
        sandbox.webhook_secret,
    }

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.texts += [record.getMessage(), repr(record.__dict__), logging.Formatter().format(record)]

    handler, root, level = Collect(logging.DEBUG), logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield found
    root.removeHandler(handler)
    root.setLevel(level)


def check(sandbox: Sandbox, everything: Everything) -> None:
    for entry in sandbox.received("approve"):
        everything.secrets.add(json.loads(entry["body"])["pow_nonce"])
    secrets = {secret for secret in everything.secrets if len(secret) > 5}
    assert len(secrets) > 4
    text = "\n".join(everything.texts)
    assert "POST http" in text, "nothing was logged"
    for secret in secrets:
        # A nonce is a number: it is found by itself, not as digits of a longer one (an address, a time).
        shown = re.compile(rf"(?<!\w){re.escape(secret)}(?!\w)" if secret.isdigit() else re.escape(secret))
        places = [found for found in everything.texts if shown.search(found)]
        assert not places, f"{secret} in {places[0][:600]}"


def challenges(sandbox: Sandbox, request_id: str) -> str:
    found = sandbox.control("GET", f"/login-requests/{request_id}")
    return str(found.get("pow_challenge") or found["request"]["pow_challenge"])


def test_lime_blocking(sandbox: Sandbox, everything: Everything) -> None:
    sandbox.control("PUT", "/settings", {"pow_difficulty": 18})  # a nonce that is long enough to be found
    site, agent = SyncLimeSite(sse_backoff_base=0.01), SyncLimeAgent(timeout=0.3, max_retries=1)

    @site.on_login
    def handler(request_id: str, passport: str | None) -> None:
        if passport is not None:
            everything.secrets.add(passport)
        raise RuntimeError("a handler's own, whose traceback is logged")

    for failure in [None, *FAILURES]:
        request = site.create_login_request()
        everything.secrets.add(challenges(sandbox, request.request_id))
        if failure is not None:
            for route in ("challenge", "approve", "profile", "events", "jwks"):
                sandbox.fault(route, **failure)
        everything.tried(lambda: agent.login(request.request_id, on_progress=everything.shown))  # noqa: B023
        passport = everything.tried(lambda: site.wait_for_login(request.request_id, timeout=0.5))  # noqa: B023
        everything.tried(agent.get_profile)
        if passport is not None:
            everything.secrets.add(passport)
            for jwt in (passport, passport[:-9], f"{passport}AA", passport.upper()):
                everything.secrets.add(jwt)
                verified = everything.tried(lambda: site.verify_passport(jwt))  # noqa: B023
                everything.tried(lambda: site.verify_passport(jwt, expected_request_id="other"))  # noqa: B023
                everything.shown(verified)
        everything.shown(site, agent, request, site.stream_status, site.stream_status.last_error)
        sandbox.control("DELETE", "/faults")
    site.close()
    assert everything.failures > 20
    check(sandbox, everything)


@pytest.mark.parametrize("injected", [False, True], ids=["own-transport", "httpx"])
def test_lime_on_a_loop(sandbox: Sandbox, everything: Everything, injected: bool) -> None:
    # httpx logs URLs and httpcore headers, at DEBUG; that is theirs, and not asked for here.
    logging.getLogger("httpcore").setLevel(logging.INFO)
    sandbox.control("PUT", "/settings", {"pow_difficulty": 18})

    async def main() -> None:
        client = httpx.AsyncClient(timeout=0.3) if injected else None
        site = LimeSite(sse_backoff_base=0.01, http_client=client)
        agent = LimeAgent(timeout=0.3, max_retries=1, http_client=client)

        @site.on_login
        async def handler(request_id: str, passport: str | None) -> None:
            raise RuntimeError("a handler's own, whose traceback is logged")

        for failure in [None, *FAILURES]:
            request = await site.create_login_request()
            everything.secrets.add(challenges(sandbox, request.request_id))
            if failure is not None:
                for route in ("challenge", "approve", "profile", "events", "jwks"):
                    sandbox.fault(route, **failure)
            await everything.awaited(agent.login(request.request_id, on_progress=everything.shown))
            passport = await everything.awaited(site.wait_for_login(request.request_id, timeout=0.5))
            await everything.awaited(agent.get_profile())
            if passport is not None:
                for jwt in (passport, f"{passport}AA"):
                    everything.secrets.add(jwt)
                    verified = await everything.awaited(site.verify_passport(jwt))
                    everything.shown(verified)
            everything.shown(site, agent, request, site.stream_status, vars(site), vars(agent))
            sandbox.control("DELETE", "/faults")
        await site.aclose()
        if client is not None:
            await client.aclose()

    asyncio.run(main())
    assert everything.failures > 10
    check(sandbox, everything)


def test_sesame(sandbox: Sandbox, everything: Everything) -> None:
    client = Sesame(timeout=0.3, max_retries=1)
    # What is asked of a human is no secret, but is none of a log's business either.
    everything.secrets |= {"context-of-the-request", "note-of-the-human"}

    @require_approval("a", client=client, timeout=1, context={"k": "context-of-the-request"})
    def gated() -> None: ...

    for failure in [None, *FAILURES]:
        if failure is not None:
            for route in ("trigger_approval", "read_approval"):
                sandbox.fault(route, **failure)
        context = {"k": "context-of-the-request"}
        approval = everything.tried(lambda: client.approvals.trigger("a", "b", context=context))  # noqa: B023
        if approval is not None:
            everything.tried(lambda: approval.wait(timeout=0.3, on_progress=everything.shown))  # noqa: B023
            everything.tried(approval.refresh)
            everything.shown(approval)
        everything.shown(client, client.approvals)
        sandbox.control("DELETE", "/faults")
    sandbox.control("POST", "/rules", {"action": "a", "decision": "denied"})
    everything.tried(gated)

    async def main() -> None:
        async with AsyncSesame(api_key="sk_refused_and_secret") as refused:
            everything.secrets.add("sk_refused_and_secret")
            await everything.awaited(refused.approvals.trigger("a", "b"))
            everything.shown(refused, refused.approvals)

    asyncio.run(main())

    body, secret = b'{"approval_id":"1"}', sandbox.webhook_secret
    headers = sign_webhook(body, secret)
    guard = ReplayGuard()
    for attempt in (
        lambda: verify_webhook(headers, body + b" ", secret),
        lambda: verify_webhook({}, body, secret),
        lambda: verify_webhook({**headers, "X-Sesame-Timestamp": "1"}, body, secret),
        lambda: verify_webhook(headers, {"approval_id": "1"}, secret),  # type: ignore[arg-type]
        lambda: verify_webhook(headers, body, [secret, ""]),
        lambda: verify_webhook(headers, body, secret, replay_guard=guard),
    ):
        everything.tried(attempt)
    everything.shown(guard)
    assert everything.failures > 15
    check(sandbox, everything)


class Unbuilding(httpx.AsyncClient):
    """Cannot build a request."""

    def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
        super().build_request(*args, **kwargs)
        raise RuntimeError("no request of this client's")


async def half(passport: str) -> AsyncIterator[bytes]:
    yield passport.encode()
    raise httpx.ReadError("in the middle")


@pytest.mark.parametrize("failure", ["connect", "own", "read", "build"])
def test_nothing_secret_in_the_frames_of_an_injected_clients_failure(failure: str) -> None:
    """Not in those of the error that stands for it, not in those behind it."""
    token, answer = "at_or_sk_of_somebody", "answer-with-a-passport"

    def handle(request: httpx.Request) -> httpx.Response:
        if failure == "connect":
            raise httpx.ConnectError("nobody there", request=request)
        if failure == "own":
            raise RuntimeError("a fault of the transport's own")
        return httpx.Response(200, content=half(answer))

    async def caught(call: Any) -> Exception:
        with pytest.raises(
            Exception, match=r"nobody there|of the transport's own|in the middle|no request"
        ) as found:
            await call
        return found.value

    async def main() -> list[Exception]:
        kind = Unbuilding if failure == "build" else httpx.AsyncClient
        url = "http://127.0.0.1:1"
        async with kind(transport=httpx.MockTransport(handle)) as client:
            agent = LimeAgent(agent_token=token, base_url=url, http_client=client, max_retries=0)
            sesame = AsyncSesame(api_key=token, base_url=url, http_client=client, max_retries=0)
            return [
                await caught(agent.get_profile()),
                await caught(agent.login("lr_1")),
                await caught(sesame.approvals.trigger("a", "b", context={"k": answer})),
            ]

    for error in asyncio.run(main()):
        behind = list(chain(error))
        carried = [entry for one in behind for entry in own_locals(one) if entry[0] == "exchange"]
        assert carried, "the frames that carried it are there"
        for one in behind:
            for name, value in own_locals(one):
                assert token not in value, name
                assert answer not in value or name in HANDED_OVER, name


def test_log_handlers_that_take_locks_do_not_deadlock(sandbox: Sandbox) -> None:
    """Eight threads hold a lock that the handler takes, and call; the handler logs again."""
    lock, logger = threading.RLock(), logging.getLogger("lime")
    logged: list[int] = []

    class Locking(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            # Without logging's own lock around emit, which would be taken in the other order.
            self.emit(record)
            return True

        def emit(self, record: logging.LogRecord) -> None:
            with lock:
                logged.append(threading.get_ident())
                if record.getMessage() != "again":
                    logger.debug("again")

    def work() -> None:
        for turn in range(5):
            with lock:  # another thread's handler waits for it, and this one's does not
                agent, sesame = SyncLimeAgent(), Sesame()
                agent.get_profile()
            with SyncLimeSite() as site:
                site.on_login(lambda request_id, passport: None)
                site.create_login_request()
                sesame.approvals.trigger("a", str(turn))
            with lock:
                asyncio.run(main())

    async def main() -> None:
        async with LimeSite() as site:
            await site.create_login_request()

    handler = Locking()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert logged
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
