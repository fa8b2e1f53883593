"""A client of the program's own: it sees every request, and its failures are the causes of ours."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Sandbox, until_open
from local_network import Certificates, Proxy

from lime_agents import LimeAgent
from lime_sdk._http import HttpxTransport
from lime_sites import LimeError, LimeSite
from sesame_sdk import ApprovalError, AsyncSesame

LIME_ROUTES = {"create_request", "read_request", "events", "jwks", "challenge", "approve", "profile"}
SESAME_ROUTES = {"trigger_approval", "read_approval"}
ROUTES = LIME_ROUTES | SESAME_ROUTES


async def everything(sandbox: Sandbox, client: httpx.AsyncClient, base: str | None = None) -> None:
    """Every kind of request that the packages send."""
    api, broker = (None, None) if base is None else (f"{base}/api/v1", base)
    async with (
        LimeSite(base_url=api, http_client=client) as site,
        LimeAgent(base_url=api, http_client=client) as agent,
        AsyncSesame(base_url=broker, http_client=client) as sesame,
    ):
        await until_open(site)
        request = await site.create_login_request()
        waiting = asyncio.ensure_future(site.wait_for_login(request.request_id))
        await agent.login(request.request_id)
        passport = await waiting
        assert passport is not None
        assert (await site.verify_passport(passport, expected_request_id=request.request_id)).valid
        assert (await site.read_login_request(request.request_id)).status == "DELIVERED"
        await agent.get_profile()
        approval = await sesame.approvals.trigger("a", "b")
        path = f"/approvals/{approval.approval_id}/decision"
        await asyncio.to_thread(sandbox.control, "POST", path, {"decision": "approved"})
        assert (await approval.wait(timeout=30)).approved


def routes(sandbox: Sandbox) -> set[str]:
    return {entry["route"] for entry in sandbox.control("GET", "/received")["received"]}


def paths(sandbox: Sandbox) -> list[str]:
    received = sandbox.control("GET", "/received")["received"]
    return sorted(f"{entry['method']} {entry['path']}" for entry in received)


def test_event_hooks_see_every_request_and_every_answer(sandbox: Sandbox) -> None:
    requests: list[str] = []
    answers: list[tuple[str, int]] = []

    async def asked(request: httpx.Request) -> None:
        requests.append(f"{request.method} {request.url.path}")

    async def answered(response: httpx.Response) -> None:
        answers.append((f"{response.request.method} {response.request.url.path}", response.status_code))

    async def main() -> None:
        hooks: dict[str, list[Any]] = {"request": [asked], "response": [answered]}
        async with httpx.AsyncClient(event_hooks=hooks) as client:
            await everything(sandbox, client)

    asyncio.run(main())
    assert routes(sandbox) == ROUTES
    assert sorted(requests) == paths(sandbox)
    assert {path for path, status in answers if 200 <= status < 300} == set(requests)


def test_instrumentation_of_the_library_sees_every_request(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As respx and OpenTelemetry do it: httpx itself is patched, below every client."""
    seen: list[str] = []
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def patched(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url.path}")
        request.headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        return await send(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", patched)

    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await everything(sandbox, client)

    asyncio.run(main())
    assert sorted(seen) == paths(sandbox)
    received = sandbox.control("GET", "/received")["received"]
    assert {entry["route"] for entry in received if "traceparent" in entry["headers"]} == ROUTES


def test_a_mounted_transport_and_default_headers_and_auth_are_the_clients(sandbox: Sandbox) -> None:
    class Noting(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.inner, self.seen = httpx.AsyncHTTPTransport(), 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.seen += 1
            return await self.inner.handle_async_request(request)

        async def aclose(self) -> None:
            await self.inner.aclose()

    noting = Noting()

    async def main() -> None:
        mounts = {"all://127.0.0.1": noting}
        async with httpx.AsyncClient(mounts=mounts, headers={"X-Company": "c"}) as client:
            await everything(sandbox, client)

    asyncio.run(main())
    received = sandbox.control("GET", "/received")["received"]
    assert noting.seen == len(received)
    assert all(entry["headers"]["x-company"] == "c" for entry in received)


def test_a_proxy_sees_every_request(sandbox: Sandbox) -> None:
    async def main(url: str) -> None:
        async with httpx.AsyncClient(proxy=url) as client:
            await everything(sandbox, client)

    with Proxy() as proxy:
        asyncio.run(main(proxy.url))
    root = sandbox.sesame_url
    asked = sorted(f"{method} {url.removeprefix(root).split('?')[0]}" for method, url in proxy.asked)
    assert asked == paths(sandbox)
    assert routes(sandbox) == ROUTES


def test_tls_with_a_ca_of_ones_own_and_through_a_proxy(sandbox: Sandbox, tmp_path: Path) -> None:
    import ssl

    certificates = Certificates(tmp_path)
    port = int(sandbox.sesame_url.rpartition(":")[2])

    async def main(proxy: str | None, base: str) -> None:
        context = ssl.create_default_context(cafile=str(certificates.ca))
        # The host's own HTTPS: passports name another origin than this one.
        sandbox.control("PATCH", "/settings", {"issuer_override": base})
        async with httpx.AsyncClient(verify=context, proxy=proxy) as client:
            await everything(sandbox, client, base)

    async def without_the_ca(base: str) -> None:
        async with httpx.AsyncClient() as client:
            agent = LimeAgent(base_url=f"{base}/api/v1", http_client=client, max_retries=0)
            with pytest.raises(LimeError, match="CERTIFICATE_VERIFY_FAILED") as caught:
                await agent.get_profile()
            assert isinstance(caught.value.__cause__, httpx.ConnectError)

    with certificates.front(port) as front, Proxy() as proxy:
        base = f"https://localhost:{front.port}"
        asyncio.run(main(None, base))
        assert routes(sandbox) == ROUTES
        sandbox.control("DELETE", "/received")
        asyncio.run(main(proxy.url, base))
        assert routes(sandbox) == ROUTES
        assert set(proxy.asked) == {("CONNECT", f"localhost:{front.port}")}
        sandbox.control("DELETE", "/received")
        asyncio.run(without_the_ca(base))
        assert routes(sandbox) == set()


class Body(httpx.AsyncByteStream):
    """A body that comes piece by piece and tells when it is let go of."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.asked, self.closed = pieces, asyncio.Event(), asyncio.Event()

    async def __aiter__(self) -> Any:
        for piece in self.pieces:
            yield piece
        self.asked.set()
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed.set()


APPROVED = b'data: {"type":"approved","login_request_id":"lr_1","agent_passport_jwt":"j.w.t"}\n\n'


def mock(answer: Callable[[httpx.Request], Any], **options: Any) -> httpx.AsyncClient:
    async def handle(request: httpx.Request) -> httpx.Response:
        found = answer(request)
        return await found if inspect.isawaitable(found) else found  # type: ignore[no-any-return]

    return httpx.AsyncClient(transport=httpx.MockTransport(handle), **options)


def site_of(client: httpx.AsyncClient, **options: Any) -> LimeSite:
    return LimeSite(site_token="st_x", base_url="http://h/api/v1", http_client=client, **options)


def test_events_are_delivered_while_the_answer_goes_on_and_closing_lets_go_of_it() -> None:
    async def main() -> None:
        # Cut where it hurts; the answer never ends by itself.
        body = Body(APPROVED[:20], APPROVED[20:-1], APPROVED[-1:])
        headers = {"Content-Type": "text/event-stream"}
        site = site_of(mock(lambda _: httpx.Response(200, headers=headers, stream=body)))
        arrived = asyncio.get_running_loop().create_future()

        @site.on_login
        async def handler(request_id: str, passport: str | None) -> None:
            arrived.set_result((request_id, passport))

        assert await asyncio.wait_for(arrived, 30) == ("lr_1", "j.w.t")
        assert not body.closed.is_set()
        await site.aclose()
        assert body.closed.is_set()

    asyncio.run(main())


def test_a_loop_that_ends_lets_go_of_the_stream() -> None:
    bodies: list[Body] = []

    async def main() -> None:
        bodies.append(Body(b": hello\n\n"))
        headers = {"Content-Type": "text/event-stream"}
        site_of(mock(lambda _: httpx.Response(200, headers=headers, stream=bodies[0])))
        await asyncio.wait_for(bodies[0].asked.wait(), 30)

    asyncio.run(main())
    assert bodies[0].closed.is_set()


@pytest.mark.parametrize("moment", ["before the answer", "in its body"])
def test_cancelling_a_call_lets_go_of_its_request(moment: str) -> None:
    async def main() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()
        body = Body(b'{"ok": true, "da')

        async def never(request: httpx.Request) -> httpx.Response:
            if moment == "in its body":
                return httpx.Response(200, stream=body)
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

        async with mock(never) as client:
            agent = LimeAgent(agent_token="at_x", base_url="http://h/api/v1", http_client=client)
            call = asyncio.ensure_future(agent.get_profile())
            await asyncio.wait_for((body.asked if moment == "in its body" else begun).wait(), 30)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.wait_for((body.closed if moment == "in its body" else ended).wait(), 30)

    asyncio.run(main())


TRANSPORT_ERRORS = [
    kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, httpx.TransportError)
]
CHALLENGE = {"ok": True, "data": {"pow_challenge": "c", "pow_difficulty": 1, "status": "PENDING"}}
UNVERIFIED = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA"


async def called(call: str, fail: Callable[[httpx.Request], Any], **options: Any) -> BaseException:
    """What a call raises whose last request fails so, through a client with these options."""

    def answer(request: httpx.Request) -> Any:
        if request.url.path.endswith("/events"):
            return httpx.Response(503)
        if "/auth/requests/" in request.url.path and call == "approve":
            return httpx.Response(200, json=CHALLENGE)
        return fail(request)

    async with mock(answer, **options) as client:
        common: dict[str, Any] = {"http_client": client, "max_retries": 0}
        agent = LimeAgent(agent_token="at_x", base_url="http://h/api/v1", **common)
        sesame = AsyncSesame(api_key="sk_x", base_url="http://h", **common)
        try:
            if call in ("create", "keys"):
                async with site_of(client, max_retries=0) as site:
                    await (
                        site.verify_passport(UNVERIFIED) if call == "keys" else site.create_login_request()
                    )
            elif call == "profile":
                await agent.get_profile()
            elif call in ("challenge", "approve"):
                await agent.login("lr_1")
            elif call == "read":
                await sesame.approvals.get("ap_1")
            else:
                await sesame.approvals.trigger("a", "b", dedup_key="k" if call == "trigger once" else None)
        except Exception as error:
            return error
    raise AssertionError


LIME_CALLS = ("create", "keys", "challenge", "approve", "profile")
CALLS = (*LIME_CALLS, "trigger", "trigger once", "read")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("text", ["what happened", ""])
def test_each_exception_of_the_network_becomes_ours_and_is_its_cause(call: str, text: str) -> None:
    assert len(TRANSPORT_ERRORS) >= 16
    for kind in TRANSPORT_ERRORS:

        def fail(request: httpx.Request, kind: Any = kind) -> httpx.Response:
            raise kind(text, request=request)

        error = asyncio.run(called(call, fail))
        assert isinstance(error, LimeError if call in LIME_CALLS else ApprovalError)
        assert type(error.__cause__) is kind
        assert str(error)
        if call not in LIME_CALLS and type(error).__name__ != "OutcomeUnknownError":
            assert isinstance(error, TimeoutError) is issubclass(kind, httpx.TimeoutException)


class HookFault(Exception):
    """Of the program's own."""


@pytest.mark.parametrize("call", CALLS)
def test_whatever_else_the_client_raises_is_raised_as_it_is(call: str) -> None:
    """The published packages turn nothing but failures of the network into errors of theirs."""
    for kind in (httpx.DecodingError, httpx.TooManyRedirects, HookFault):

        def fail(request: httpx.Request, kind: Any = kind) -> httpx.Response:
            raise kind("what happened")

        error = asyncio.run(called(call, fail))
        assert type(error) is kind
        assert error.__cause__ is None


def test_a_hook_that_raises_for_errors_is_heard() -> None:
    async def main() -> None:
        async def strict(response: httpx.Response) -> None:
            response.raise_for_status()

        async with mock(lambda _: httpx.Response(404, json={})) as client:
            client.event_hooks = {"response": [strict]}
            agent = LimeAgent(agent_token="at_x", base_url="http://h/api/v1", http_client=client)
            with pytest.raises(httpx.HTTPStatusError, match="404"):
                await agent.get_profile()

    asyncio.run(main())


def test_the_cause_is_the_failure_of_this_call_not_of_another() -> None:
    """Both say the same; what tells them apart is whose request it was."""

    async def main() -> None:
        def fail(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("the same text", request=request)

        async with mock(fail) as client:
            agent = LimeAgent(
                agent_token="at_x", base_url="http://h/api/v1", http_client=client, max_retries=0
            )
            calls = [agent.get_profile(), agent.login("lr_1"), agent.get_profile(), agent.login("lr_2")]
            errors: Any = await asyncio.gather(*calls, return_exceptions=True)
            asked = [error.__cause__.request.url.path.rpartition("/")[2] for error in errors]
            assert asked == ["profile", "lr_1", "profile", "lr_2"]
            assert len({id(error.__cause__) for error in errors}) == 4

    asyncio.run(main())


def test_an_answer_after_a_failure_has_no_cause() -> None:
    async def main() -> None:
        answers = iter([httpx.ConnectError("once"), httpx.Response(404, json={"ok": False, "error": {}})])

        def answer(request: httpx.Request) -> httpx.Response:
            found = next(answers)
            if isinstance(found, Exception):
                raise found
            return found

        async with mock(answer) as client:
            agent = LimeAgent(agent_token="at_x", base_url="http://h/api/v1", http_client=client)
            with pytest.raises(LimeError) as caught:
                await agent.get_profile()
            assert caught.value.http_status == 404
            assert caught.value.__cause__ is None

    asyncio.run(main())


def test_a_call_that_is_thrown_away_in_another_context_ends_in_peace() -> None:
    """As the garbage collector does it: not in the context that the call began in."""

    async def main() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def never(request: httpx.Request) -> httpx.Response:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

        async with mock(never) as client:
            agent = LimeAgent(agent_token="at_x", base_url="http://h/api/v1", http_client=client)
            call: Any = agent.get_profile()
            call.send(None)
            await asyncio.wait_for(begun.wait(), 30)
            contextvars.Context().run(call.close)
            await asyncio.wait_for(ended.wait(), 30)

    asyncio.run(main())


STATUSES = (301, 302, 303, 307, 308)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_client_that_follows_redirects_takes_no_token_along(call: str, status: int) -> None:
    seen: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        if request.url.host != "h":
            return httpx.Response(200, json={"ok": True, "data": {}})
        return httpx.Response(status, headers={"Location": f"http://elsewhere{request.url.path}"})

    error = asyncio.run(called(call, redirect, follow_redirects=True))
    assert seen == ["h"], "nothing went to the other host"
    assert isinstance(error, LimeError if call in LIME_CALLS else ApprovalError)
    assert str(status) in str(error)


@pytest.mark.parametrize("status", STATUSES)
def test_an_event_stream_follows_no_redirect(status: int) -> None:
    async def main() -> None:
        seen: set[str] = set()

        def redirect(request: httpx.Request) -> httpx.Response:
            seen.add(request.url.host)
            if request.url.host != "h":
                return httpx.Response(
                    200, headers={"Content-Type": "text/event-stream"}, stream=Body(APPROVED)
                )
            return httpx.Response(status, headers={"Location": "http://elsewhere/events"})

        async with mock(redirect, follow_redirects=True) as client, site_of(client) as site:
            told = asyncio.get_running_loop().create_future()

            @site.on_state
            def changed(stream: Any) -> None:
                if stream.state not in ("idle", "connecting") and not told.done():
                    told.set_result(stream)

            stream = await asyncio.wait_for(told, 30)
            assert isinstance(stream.last_error, LimeError)
            assert stream.last_error.http_status == status
            assert seen == {"h"}

    asyncio.run(main())


class Full:
    """The library's side of a transport: after a number of pieces it has no room, and has some at once."""

    def __init__(self, pieces: int, resume: Callable[[], object]) -> None:
        self.left, self.resume, self.calls = pieces, resume, []  # type: ignore[var-annotated]

    def head(self, *_: object) -> None:
        self.calls.append("head")

    def chunk(self, *_: object) -> bool:
        self.calls.append("chunk")
        self.left -= 1
        if self.left == 0:
            asyncio.get_running_loop().call_soon(self.resume)
        return self.left != 0

    def end(self, *_: object) -> None:
        self.calls.append("end")

    def fail(self, *told: object) -> None:
        self.calls.append(f"fail {told}")


@pytest.mark.parametrize("pieces", [1, 15, 16, 17, 32])
def test_a_body_goes_on_whenever_the_library_has_room_again(pieces: int) -> None:
    """Also when it has at the moment at which the event loop has its turn."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x"

    async def main() -> None:
        async with mock(lambda _: httpx.Response(200, content=body())) as client:
            transport = HttpxTransport(client)
            native = Full(pieces, lambda: transport.resume(1))
            transport.native = native  # type: ignore[assignment]
            await asyncio.wait_for(transport._carry(1, "GET", "http://h/", [], b"", False, None), 30)
            assert native.calls == ["head", *["chunk"] * 40, "end"]

    asyncio.run(main())
