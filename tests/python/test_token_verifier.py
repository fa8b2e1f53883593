"""Access tokens: verified against the sandbox, in every way that a server may call."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from conftest import Sandbox

from lime_mcp_server import (
    FORBIDDEN_MCP_CLAIMS,
    InvalidTokenError,
    JwksCache,
    LimeConfig,
    LimeError,
    TokenValidationResult,
    TokenVerifier,
    _carrier,
    asgi,
    jwks_cache_ttl_seconds,
    normalize_mcp_domain,
    verify_mcp_access_token,
    wsgi,
)

DOMAIN = "tools.example.com"


@pytest.fixture
def verifier(sandbox: Sandbox) -> Iterator[TokenVerifier]:
    with TokenVerifier(expected_domain=DOMAIN) as made:
        yield made


def routes(sandbox: Sandbox) -> list[str]:
    return [entry["route"] for entry in sandbox.control("GET", "/received")["received"]]


def test_a_token_of_the_platform(sandbox: Sandbox, verifier: TokenVerifier) -> None:
    assert routes(sandbox) == [], "making one sends nothing"
    token = sandbox.mcp_token(DOMAIN)
    result = verifier.verify(token)
    assert result.is_valid
    assert result.error is None
    assert result.claims == result.valid_claims
    assert (result.domain, result.valid_claims["aud"]) == (DOMAIN, "mcp")  # type: ignore[index]
    assert result.agent_id == sandbox.control("GET", "/info")["agent_id"]
    assert verifier.verify(token) == asyncio.run(verifier.verify_async(token)) == result
    assert routes(sandbox) == ["mcp_metadata", "jwks"], "fetched once"
    assert verifier.cache.fetch_count == 1
    assert verifier.verify(token.encode()) == result  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("domain", "claims", "error", "code"),
    [
        ("other.example.com", {}, "Domain mismatch", "wrong_domain"),
        ("Tools.example.com", {}, "Invalid domain claim", "invalid_domain"),
        ("", {}, "Missing domain claim", "missing_domain"),
        (DOMAIN, {"exp": 1}, "Token expired", "expired"),
        (DOMAIN, {"iss": "https://lime.pics"}, "Invalid issuer", "wrong_issuer"),
        (DOMAIN, {"aud": "lime-site-login"}, "Invalid audience", "wrong_audience"),
        (DOMAIN, {"sub": None}, "Invalid token: missing sub claim", "missing_subject"),
        *(
            (DOMAIN, {c: 1}, f"Invalid token: forbidden claim: {c}", "forbidden_claim")
            for c in FORBIDDEN_MCP_CLAIMS
        ),
    ],
)
def test_bad_tokens_say_why(
    sandbox: Sandbox, verifier: TokenVerifier, domain: str, claims: dict[str, Any], error: str, code: str
) -> None:
    token = sandbox.mcp_token(domain, claims=claims)
    for result in (verifier.verify(token), verifier.verify(token), asyncio.run(verifier.verify_async(token))):
        assert result == TokenValidationResult(False, None, error)
        assert (result.agent_id, result.domain, result.valid_claims) == (None, None, None)
    with pytest.raises(InvalidTokenError) as caught:
        verifier.claims(token)
    assert (caught.value.code, caught.value.kind) == (code, "invalid_token")


@pytest.mark.parametrize("token", ["", "no token", "a.b.c", "ü.b.c", "\ud800", b"\xff", None, 7])
def test_what_is_no_token_is_no_reason_to_raise_or_ask(
    sandbox: Sandbox, verifier: TokenVerifier, token: Any
) -> None:
    result = verifier.verify(token)
    assert not result.is_valid
    assert (result.error or "").startswith("Invalid token: ")
    assert routes(sandbox) == []


def test_keys_that_cannot_be_had_say_nothing_of_the_token(
    sandbox: Sandbox, verifier: TokenVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.control("POST", "/faults", {"route": "mcp_metadata", "status": 503, "count": 0})
    token = sandbox.mcp_token(DOMAIN)
    assert verifier.verify(token).error == "Verification error: oauth metadata HTTP 503"
    with caplog.at_level(logging.WARNING, "lime.mcp_server"):
        assert verifier.warmup() is False
    assert "JWKS cache warmup failed" in caplog.text
    with pytest.raises(LimeError, match="HTTP 503") as caught:
        verifier.warmup(raise_on_failure=True)
    assert not isinstance(caught.value, InvalidTokenError)
    assert asyncio.run(verifier.verify_async(token)).error == "Verification error: oauth metadata HTTP 503"


def test_warming_up_refreshing_and_forgetting(sandbox: Sandbox, verifier: TokenVerifier) -> None:
    assert verifier.warmup() is True
    assert verifier.warmup(raise_on_failure=True) is True
    verifier.refresh_cache()
    assert verifier.cache.fetch_count == 1, "at most once a minute"
    verifier.cache.refresh()
    assert verifier.cache.fetch_count == 2
    verifier.invalidate_cache()
    assert verifier.verify(sandbox.mcp_token(DOMAIN)).is_valid
    assert verifier.cache.fetch_count == 3
    keys, issuer = verifier.cache.get_jwks(None)
    assert issuer == sandbox.base_url
    assert verify_mcp_access_token(
        sandbox.mcp_token(DOMAIN), issuer=issuer, audience="mcp", jwks_keys=keys, expected_domain=DOMAIN
    )
    assert verifier.cache.get_jwks(keys[0]["kid"]) == (keys, issuer)
    assert verifier.cache.fetch_count == 3
    verifier.close()
    assert verifier.verify(sandbox.mcp_token(DOMAIN)).error == "Verification error: The client is closed"


def test_a_rotated_key_is_found_at_once(sandbox: Sandbox, verifier: TokenVerifier) -> None:
    old = sandbox.mcp_token(DOMAIN)
    assert verifier.verify(old).is_valid
    sandbox.rotate_keys()
    assert verifier.verify(sandbox.mcp_token(DOMAIN)).is_valid
    assert (verifier.verify(old).error or "").startswith("Invalid token: no jwks key for kid=")
    assert verifier.cache.fetch_count == 2


def test_settings_come_from_arguments_then_config_then_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "LIME_EXPECTED_DOMAIN": " env.example.com ",
        "LIME_BASE_URL": "https://env.example/",
        "LIME_OAUTH_AUDIENCE": "env",
        "LIME_JWKS_CACHE_TTL_SECONDS": "7",
        "LIME_JWT_VERIFY_LEEWAY_SECONDS": "8",
        "LIME_JWKS_MIN_REFRESH_SECONDS": "9",
        "LIME_VERIFY_USER_AGENT": "env/1",
    }.items():
        monkeypatch.setenv(name, value)
    from_environment = TokenVerifier().config
    assert from_environment == LimeConfig(
        "https://env.example", "env", 7, 8, 9, ("RS256",), "env/1", 30.0, "env.example.com"
    )
    assert jwks_cache_ttl_seconds() == 7
    config = LimeConfig(expected_domain="https://Config.example.com/mcp", audience="config", cache_ttl=1)
    found = TokenVerifier(config=config, audience="argument", leeway_seconds=0).config
    assert (found.expected_domain, found.audience, found.cache_ttl) == ("config.example.com", "argument", 1)
    assert (found.leeway_seconds, found.min_refresh_seconds) == (0, 9)
    assert TokenVerifier(expected_domain="a.example", config=config).config.expected_domain == "a.example"
    monkeypatch.setenv("LIME_EXPECTED_DOMAIN", "")
    for missing in (None, "", "  "):
        with pytest.raises(ValueError, match="expected_domain is required"):
            TokenVerifier(expected_domain=missing)
    for wrong in ("localhost", "a.example:80", "10.0.0.1", "a_b"):
        with pytest.raises(ValueError, match="domain must"):
            TokenVerifier(expected_domain=wrong)
    with pytest.raises(ValueError, match="RS256"):
        TokenVerifier(expected_domain=DOMAIN, allowed_algorithms=("HS256",))
    with pytest.raises(ValueError, match="domain is required"):
        normalize_mcp_domain(None)  # type: ignore[arg-type]


def test_leeway_audience_and_user_agent_count(sandbox: Sandbox) -> None:
    config = LimeConfig(user_agent="probe/1")
    now = int(time.time())
    with TokenVerifier(expected_domain=DOMAIN, leeway_seconds=0, audience="tools", config=config) as verifier:
        assert verifier.verify(sandbox.mcp_token(DOMAIN, claims={"aud": ["x", "tools"]})).is_valid
        late = sandbox.mcp_token(DOMAIN, claims={"aud": "tools", "exp": now - 1})
        assert verifier.verify(late).error == "Token expired"
        assert verifier.verify(sandbox.mcp_token(DOMAIN)).error == "Invalid audience"
    for entry in sandbox.control("GET", "/received")["received"]:
        assert entry["headers"]["user-agent"] == "probe/1"


def test_many_threads_and_loops_fetch_once(sandbox: Sandbox, verifier: TokenVerifier) -> None:
    token = sandbox.mcp_token(DOMAIN)
    found: list[TokenValidationResult] = []

    def run() -> None:
        async def several() -> None:
            found.extend(await asyncio.gather(*(verifier.verify_async(token) for _ in range(5))))

        found.append(verifier.verify(token))
        asyncio.run(several())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 48
    assert all(result.is_valid for result in found)
    assert verifier.cache.fetch_count == 1


def test_verifiers_of_several_hosts_share_keys(sandbox: Sandbox) -> None:
    cache = JwksCache(LimeConfig())
    first = TokenVerifier(expected_domain=DOMAIN, cache=cache)
    second = TokenVerifier(expected_domain="other.example.com", cache=cache)
    assert first.cache is second.cache is cache
    assert first.verify(sandbox.mcp_token(DOMAIN)).is_valid
    assert second.verify(sandbox.mcp_token("other.example.com")).is_valid
    assert second.verify(sandbox.mcp_token(DOMAIN)).error == "Domain mismatch"
    assert cache.fetch_count == 1


def test_a_client_of_the_programs_own_carries_every_byte(sandbox: Sandbox) -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> None:
        seen.append(f"{request.url.path} {request.headers['user-agent']}")

    config = LimeConfig(user_agent="own/1")
    with httpx.Client(event_hooks={"request": [note]}) as client:
        cache = JwksCache(config, http_client=client)
        verifier = TokenVerifier(expected_domain=DOMAIN, cache=cache)
        token = sandbox.mcp_token(DOMAIN)
        assert asyncio.run(verifier.verify_async(token)).is_valid
        assert verifier.verify(token).is_valid
        assert cache.get_jwks(None)[1] == sandbox.base_url
        assert seen == [
            "/api/v1/modules/oauth/.well-known/oauth-authorization-server own/1",
            "/api/v1/core/.well-known/jwks.json own/1",
        ]
        sandbox.rotate_keys()
        results = []
        new = sandbox.mcp_token(DOMAIN)
        threads = [threading.Thread(target=lambda: results.append(verifier.verify(new))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [result.is_valid for result in results] == [True] * 8
        assert len(seen) == 4
        verifier.close()
        assert not client.is_closed


def test_a_client_of_the_programs_own_fails() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if request.url.host == "down.example":
            raise httpx.ConnectError("nobody there", request=request)
        raise RuntimeError("a bug of the program's")

    with httpx.Client(transport=httpx.MockTransport(refuse)) as client:
        for base, words in (("https://down.example", "nobody there"), ("https://odd.example", "a bug")):
            cache = JwksCache(LimeConfig(base_url=base), http_client=client)
            verifier = TokenVerifier(expected_domain=DOMAIN, cache=cache)
            with pytest.raises(LimeError, match=words):
                verifier.warmup(raise_on_failure=True)
            assert verifier.warmup() is False


class Held(httpx.BaseTransport):
    """Goes to the platform, and holds back its answers with one document until they are released."""

    def __init__(self) -> None:
        self.platform = httpx.HTTPTransport()
        self.document, self.asked, self.released = "none", threading.Event(), threading.Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.platform.handle_request(request)
        if request.url.path.endswith(self.document):
            response.read()  # of before whatever happens meanwhile
            self.asked.set()
            assert self.released.wait(60)
        return response

    def close(self) -> None:
        self.released.set()
        self.platform.close()


class Later(threading.Thread):
    """Something that another thread does, and what came of it; it must end."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.work, self.found = work, None
        self.start()

    def run(self) -> None:
        self.found = self.work()

    def result(self) -> Any:
        self.join(30)
        assert not self.is_alive(), "it hangs"
        return self.found


@pytest.fixture
def held(sandbox: Sandbox) -> Iterator[tuple[Held, TokenVerifier, str]]:
    """A verifier whose keys are always too old already, and a token that they verify."""
    transport = Held()
    with httpx.Client(transport=transport) as client:
        cache = JwksCache(LimeConfig(cache_ttl=0, min_refresh_seconds=0), http_client=client)
        with TokenVerifier(expected_domain=DOMAIN, cache=cache) as verifier:
            token = sandbox.mcp_token(DOMAIN)
            assert verifier.verify(token).is_valid
            sandbox.rotate_keys(keep_old=True)
            yield transport, verifier, token


DOCUMENTS = ["oauth-authorization-server", "jwks.json"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_keys_that_come_slowly_are_taken_all_the_same(
    sandbox: Sandbox, held: tuple[Held, TokenVerifier, str], document: str
) -> None:
    """The thread that carries them has its own answer, from the old keys, before they have come."""
    transport, verifier, token = held
    transport.document = document
    carries = Later(lambda: verifier.verify(token))
    assert transport.asked.wait(30)
    # Begun later, it has the old keys' answer when the one that carries has it too.
    assert verifier.verify(token).is_valid
    assert verifier.cache.fetch_count == 1
    transport.released.set()
    assert carries.result().is_valid
    new = sandbox.mcp_token(DOMAIN)
    assert Later(lambda: verifier.verify(new)).result().is_valid


def test_what_the_library_asks_for_when_nobody_waits_is_the_next_callers_to_carry(
    sandbox: Sandbox, held: tuple[Held, TokenVerifier, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_carrier, "_NEXT", 0, raising=False)
    test_keys_that_come_slowly_are_taken_all_the_same(sandbox, held, DOCUMENTS[0])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_who_waits_for_keys_does_not_depend_on_who_came_last(
    sandbox: Sandbox, held: tuple[Held, TokenVerifier, str], document: str
) -> None:
    transport, verifier, token = held
    transport.document = document
    new = sandbox.mcp_token(DOMAIN)
    waits = Later(lambda: verifier.verify(new))
    assert transport.asked.wait(30)
    # Comes later, and leaves while the other one waits.
    assert verifier.verify(token).is_valid
    transport.released.set()
    assert waits.result().is_valid


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nobody_hangs_while_keys_come_slowly(
    sandbox: Sandbox, held: tuple[Held, TokenVerifier, str], document: str
) -> None:
    transport, verifier, token = held
    transport.document = document
    new = sandbox.mcp_token(DOMAIN)
    works: list[Callable[[], Any]] = [
        lambda: verifier.verify(token),
        lambda: verifier.verify(new),
        lambda: asyncio.run(verifier.verify_async(token)),
        lambda: asyncio.run(verifier.verify_async(new)),
        lambda: verifier.cache.get_jwks(None),
        lambda: verifier.cache.refresh(),
        lambda: verifier.cache.refresh(force=True),
        lambda: verifier.verify("a.b.c"),
    ]
    begun = [Later(work) for work in works * 3]
    assert transport.asked.wait(30)
    assert Later(lambda: verifier.verify(token)).result().is_valid
    transport.released.set()
    for work, later in zip(works * 3, begun, strict=True):
        found = later.result()
        if work in works[:4]:
            assert found.is_valid
    assert verifier.verify(new).is_valid


def test_an_answer_that_never_ends_is_given_up(sandbox: Sandbox) -> None:
    """Once it is larger than any such answer may be."""
    closed = threading.Event()

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b" " * 65536

        def close(self) -> None:
            closed.set()

    endless = httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    with httpx.Client(transport=endless) as client:
        own = TokenVerifier(expected_domain=DOMAIN, cache=JwksCache(LimeConfig(), http_client=client))
        token = sandbox.mcp_token(DOMAIN)
        assert "larger than" in Later(lambda: own.verify(token)).result().error
        assert closed.is_set()


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_client_that_follows_redirects_fetches_no_keys_from_elsewhere(
    sandbox: Sandbox, document: str, status: int
) -> None:
    token = sandbox.mcp_token(DOMAIN)
    hosts: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        # What is elsewhere is as good as the platform's own, and must not be taken all the same.
        elsewhere = request.url.host == "localhost"
        if request.url.path.endswith(document) and not elsewhere:
            return httpx.Response(status, headers={"Location": str(request.url.copy_with(host="localhost"))})
        with httpx.HTTPTransport() as platform:
            response = platform.handle_request(request)
            return httpx.Response(response.status_code, content=response.read())

    with httpx.Client(transport=httpx.MockTransport(redirect), follow_redirects=True) as client:
        cache = JwksCache(LimeConfig(), http_client=client)
        verifier = TokenVerifier(expected_domain=DOMAIN, cache=cache)
        result = verifier.verify(token)
        assert not result.is_valid
        assert f"Redirect refused (HTTP {status} " in (result.error or "")
        with pytest.raises(LimeError, match=f"HTTP {status}") as caught:
            verifier.warmup(raise_on_failure=True)
        assert not isinstance(caught.value, InvalidTokenError)
    assert set(hosts) == {"127.0.0.1"}, "nothing went to the other host"


def test_a_cache_of_a_tests_own(sandbox: Sandbox) -> None:
    class Fixed(JwksCache):
        def __init__(self, keys: list[dict[str, Any]]) -> None:
            self.keys, self.asked = keys, []  # type: ignore[var-annotated]

        def get_jwks(self, kid: str | None) -> tuple[list[dict[str, Any]], str]:
            self.asked.append(kid)
            if not self.keys:
                raise RuntimeError("no keys today")
            return self.keys, sandbox.base_url

    keys, _ = JwksCache(LimeConfig()).get_jwks(None)
    cache = Fixed(keys)
    verifier = TokenVerifier(expected_domain=DOMAIN, cache=cache)
    token = sandbox.mcp_token(DOMAIN)
    assert verifier.verify(token).is_valid
    assert asyncio.run(verifier.verify_async(token)).is_valid
    assert cache.asked == [keys[0]["kid"]] * 2
    assert verifier.verify("a.b.c").error is not None
    cache.keys = []
    assert verifier.verify(token).error == "Verification error: no keys today"


def test_a_forked_child_verifies_too(sandbox: Sandbox) -> None:
    program = """
        import os, sys
        from lime_mcp_server import TokenVerifier
        verifier = TokenVerifier(expected_domain="tools.example.com")
        assert verifier.verify(sys.argv[1]).is_valid
        for attempt in ("with the parent's keys", "with its own"):
            if (child := os.fork()) == 0:
                if attempt == "with its own":
                    verifier.invalidate_cache()
                os._exit(0 if verifier.verify(sys.argv[1]).is_valid else 1)
            assert os.waitpid(child, 0)[1] == 0, attempt
        assert verifier.verify(sys.argv[1]).is_valid
    """
    # Python 3.12 and later warn of any fork beside a thread, also of one that takes no lock.
    python = [sys.executable, "-W", "ignore::DeprecationWarning", "-c"]
    command = [*python, textwrap.dedent(program), sandbox.mcp_token(DOMAIN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


# ── middleware ────────────────────────────────────────────────────────────────────────────────────

METADATA = f"https://{DOMAIN}/.well-known/oauth-protected-resource"


async def show(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that says who the caller is."""
    if scope["type"] == "websocket":
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "reason": scope["state"]["lime_token"].agent_id})
        return
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        return
    token = scope.get("state", {}).get("lime_token")
    body = json.dumps([token and token.agent_id, scope.get("state", {}).get("other")]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Client:
    """Asks both middlewares the same."""

    def __init__(self, verifier: TokenVerifier) -> None:
        options: Any = {"resource_metadata": METADATA, "exclude": ["/health"]}
        self.asgi = asgi.TokenMiddleware(show, verifier, **options)
        self.wsgi = wsgi.TokenMiddleware(self.application, verifier, **options)

    @staticmethod
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        token = environ.get("lime.token")
        start_response("200 OK", [])
        return [json.dumps([token and token.agent_id, environ.get("other")]).encode()]

    def get(self, *authorization: str, path: str = "/") -> tuple[int, dict[str, str], Any]:
        """The answer, which is the same from both; several headers there are in ASGI only."""
        first = asyncio.run(self.ask(authorization, path))
        if len(authorization) < 2:
            transport = httpx.WSGITransport(app=self.wsgi)
            with httpx.Client(transport=transport, base_url="http://server") as client:
                second = client.get(path, headers=[("Authorization", value) for value in authorization])
            assert (second.status_code, second.json()) == (first.status_code, first.json())
            assert dict(second.headers) == dict(first.headers)
        return first.status_code, dict(first.headers), first.json()

    async def ask(self, authorization: tuple[str, ...], path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.asgi)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(path, headers=[("Authorization", value) for value in authorization])


def test_middlewares_let_only_tokens_for_this_server_in(sandbox: Sandbox, verifier: TokenVerifier) -> None:
    client = Client(verifier)
    agent = sandbox.control("GET", "/info")["agent_id"]
    token = sandbox.mcp_token(DOMAIN)
    for header in (f"Bearer {token}", f"bearer  {token} "):
        assert client.get(header)[::2] == (200, [agent, None])
    assert client.get(path="/health")[::2] == (200, [None, None])

    status, headers, body = client.get()
    assert (status, body["error"]) == (401, "invalid_token")
    assert headers["www-authenticate"] == f'Bearer resource_metadata="{METADATA}"'
    assert headers["content-type"] == "application/json"
    assert client.get("Basic YTpi")[0] == 401

    status, headers, body = client.get(f"Bearer {sandbox.mcp_token('other.example.com')}")
    assert (status, body) == (401, {"error": "invalid_token", "error_description": "Domain mismatch"})
    assert headers["www-authenticate"].startswith(
        'Bearer error="invalid_token", error_description="Domain mismatch"'
    )

    status, _, body = client.get(f"Bearer {token}", f"Bearer {token}")
    assert (status, body["error"]) == (400, "invalid_request")


def test_middlewares_answer_503_while_nobody_can_tell(sandbox: Sandbox, verifier: TokenVerifier) -> None:
    sandbox.control("POST", "/faults", {"route": "mcp_metadata", "status": 500, "count": 0})
    status, headers, body = Client(verifier).get(f"Bearer {sandbox.mcp_token(DOMAIN)}")
    assert (status, body["error"]) == (503, "temporarily_unavailable")
    assert int(headers["retry-after"]) >= 1
    assert "www-authenticate" not in headers


def test_the_asgi_middleware_leaves_the_rest_alone(sandbox: Sandbox, verifier: TokenVerifier) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def connect() -> Any:
        return {"type": "websocket.connect"}

    app = asgi.TokenMiddleware(show, verifier)
    asyncio.run(app({"type": "lifespan"}, connect, send))
    assert sent.pop()["type"] == "lifespan.startup.complete"

    asyncio.run(app({"type": "websocket", "path": "/", "headers": []}, connect, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    header = (b"Authorization", f"Bearer {sandbox.mcp_token(DOMAIN)}".encode())
    state = {"other": 1}
    scope = {"type": "websocket", "path": "/", "headers": [header], "state": state}
    asyncio.run(app(scope, connect, send))
    assert sent[1]["type"] == "websocket.accept"
    assert state == {"other": 1}, "the server's state is shared by all requests"


def test_nobody_else_says_who_the_caller_is(verifier: TokenVerifier) -> None:
    app = wsgi.TokenMiddleware(Client.application, verifier, exclude=["/health"])
    started: list[Any] = []
    environ = {"PATH_INFO": "/health", "lime.token": TokenValidationResult(True, {"sub": "evil"})}  # type: ignore[typeddict-item]
    (body,) = app(environ, lambda *args: started.append(args))
    assert json.loads(body) == [None, None]
