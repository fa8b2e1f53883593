"""Prints what the packages do with canned answers and sample values, as JSON.

Run by the published packages' environments and by ours; needs httpx beside the packages. Every answer
comes from an ``httpx.MockTransport`` (LIME) or from a server in this process (Sesame, which takes no
client), so that nothing but the packages can make a difference.

Usage: python behaviour.py lime|sesame|mcp
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import http.server
import json
import pickle
import sys
import threading
from typing import Any

ROOT = "https://lime.example/api/v1"
MADE = {"login_request_id": "lr_1", "status": "PENDING", "expires_at": "2030-01-02T03:04:05+02:00"}
APPROVED = {"request_id": "lr_1", "site_id": "s", "status": "DELIVERED", "expires_at": "2030-01-02T03:04:05Z"}
PROFILE = {
    **{"agent_id": "a", "owner_id": "o", "display_name": None, "avatar_url": "u", "description": "d"},
    **{"owner_kyc_level": 2, "agent_reputation": 9},
}


def failure(code: Any, message: Any = "No.", **more: Any) -> str:
    return json.dumps({"ok": False, "error": {"code": code, "message": message, **more}})


# What the platform may answer to POST /requests: status and body.
ANSWERS: dict[str, tuple[int, str]] = {
    "made": (201, json.dumps({"ok": True, "data": MADE})),
    "made without a zone": (
        201,
        json.dumps({"ok": True, "data": {**MADE, "expires_at": "2030-01-02T03:04:05"}}),
    ),
    "ok whatever the status": (418, json.dumps({"ok": True, "data": MADE})),
    "numbers for texts": (201, json.dumps({"ok": True, "data": {**MADE, "login_request_id": 7}})),
    "no json": (200, "<html>"),
    "nothing": (200, ""),
    "no object": (200, "[1]"),
    "no data": (200, json.dumps({"ok": True})),
    "data is a list": (200, json.dumps({"ok": True, "data": []})),
    "no error": (500, json.dumps({"ok": False})),
    "neither": (404, "{}"),
    "api error": (400, failure("SOME", "Some message", detail={"a": [1, None, 2.5, {"b": "ü"}]})),
    "detail is a text": (400, failure("SOME", detail="text")),
    "no code": (400, json.dumps({"ok": False, "error": {}})),
    "not found": (404, failure("NOT_FOUND")),
    "conflict": (409, failure("SITE_LOGIN_CONFLICT")),
    "forbidden": (403, failure("FORBIDDEN")),
    "unauthorised": (401, failure("ANY", detail={"why": 1})),
    "token missing": (400, failure("SITE_TOKEN_MISSING")),
    "token invalid": (403, failure("SITE_TOKEN_INVALID")),
    "suspended": (403, failure("SITE_SUSPENDED")),
    "agent token missing": (400, failure("MISSING_AGENT_TOKEN")),
    "agent token invalid": (403, failure("INVALID_AGENT_TOKEN")),
    "rate limit": (429, failure("ANY")),
    "rate limit by code": (400, failure("RATE_LIMIT_EXCEEDED")),
    "server error": (500, failure("INTERNAL", "Broken")),
    "unavailable": (503, failure("DOWN")),
}
RETRIED = (200, 400, 401, 403, 404, 408, 409, 422, 429, 500, 501, 502, 503, 504)


def shown(value: Any) -> Any:
    """A result or an error as its users see it."""
    if isinstance(value, BaseException):
        return {
            "class": type(value).__name__,
            "str": str(value),
            "args": list(value.args),
            **{name: vars(value)[name] for name in sorted(vars(value)) if not name.startswith("_")},
            "cause": type(value.__cause__).__name__,
        }
    return {
        "class": type(value).__name__,
        "repr": repr(value),
        "asdict": {name: str(item) for name, item in dataclasses.asdict(value).items()},
        "equal": value == dataclasses.replace(value),
    }


def attempt(action: Any) -> Any:
    try:
        return shown(action())
    except Exception as error:
        return shown(error)


async def awaited(action: Any) -> Any:
    try:
        return shown(await action)
    except Exception as error:
        return shown(error)


async def lime() -> dict[str, Any]:
    """LimeSite and LimeAgent."""
    import httpx

    import lime_agents
    import lime_sites

    sent: list[list[Any]] = []

    def note(request: httpx.Request) -> None:
        names = ("x-site-token", "x-agent-token", "content-type", "accept")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        sent.append([request.method, str(request.url), headers, request.content.decode()])

    def clients(answer: Any, **options: Any) -> tuple[Any, Any, httpx.AsyncClient]:
        async def handle(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/events"):
                await asyncio.Event().wait()  # as quiet as a stream can be
            return answer(request)  # type: ignore[no-any-return]

        client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
        common = {"base_url": ROOT + "/", "http_client": client, **options}
        site = lime_sites.LimeSite(site_token=" st_x ", **common)
        agent = lime_agents.LimeAgent(agent_token=" at_x ", **common)
        return site, agent, client

    async def close(site: Any, agent: Any, client: httpx.AsyncClient) -> None:
        await site.aclose()
        await agent.aclose()
        await client.aclose()

    found: dict[str, Any] = {"answers": {"create_login_request": {}, "get_profile": {}}}
    for name, (status, body) in ANSWERS.items():
        held = clients(lambda _, s=status, b=body: httpx.Response(s, text=b), max_retries=0)
        found["answers"]["create_login_request"][name] = await awaited(held[0].create_login_request())
        found["answers"]["get_profile"][name] = await awaited(held[1].get_profile())
        await close(*held)

    async def attempts(status: int, method: str) -> int:
        count = 0

        def answer(request: httpx.Request) -> httpx.Response:
            nonlocal count
            count += 1
            return httpx.Response(status, text=failure("ANY"))

        held = clients(answer, max_retries=1)
        await awaited(held[0].create_login_request() if method == "POST" else held[1].get_profile())
        await close(*held)
        return count

    cases = [(status, method) for status in RETRIED for method in ("GET", "POST")]
    counts = await asyncio.gather(*(attempts(*case) for case in cases))
    found["attempts"] = {f"{m} {s}": n for (s, m), n in zip(cases, counts, strict=True)}

    def story(request: httpx.Request) -> httpx.Response:
        note(request)
        if request.url.path.endswith("/approve"):
            return httpx.Response(200, json={"ok": True, "data": {**APPROVED, "approved_agent_id": "a"}})
        if "/auth/requests/" in request.url.path:
            data = {"pow_challenge": "c", "pow_difficulty": 4, "status": "PENDING"}
            return httpx.Response(200, json={"ok": True, "data": data})
        if request.url.path.endswith("/profile"):
            return httpx.Response(200, json={"ok": True, "data": PROFILE})
        return httpx.Response(201, json={"ok": True, "data": MADE})

    held = clients(story)
    site, agent, _ = held
    calls = {
        "create_login_request": site.create_login_request(),
        "login": agent.login(" lr_1 "),
        "get_profile": agent.get_profile(),
        "login without an id": agent.login("  "),
    }
    found["results"] = {name: await awaited(call) for name, call in calls.items()}
    await close(*held)
    found["sent"] = dict(zip(("create", "challenge", "approve", "profile"), sent, strict=True))

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there", request=request)

    held = clients(refuse, max_retries=0)
    found["transport"] = {
        "create_login_request": await awaited(held[0].create_login_request()),
        "get_profile": await awaited(held[1].get_profile()),
    }
    passports = {
        "no kid": "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
        "empty header": "e30.e30.AAAA",
        "no jwt": "garbage",
    }
    found["passports"] = {
        name: await awaited(held[0].verify_passport(text)) for name, text in passports.items()
    }
    await close(*held)
    found["samples"] = {
        "request": attempt(lambda: lime_sites.LoginRequestResult.from_api(MADE)),
        "request without status": attempt(
            lambda: lime_sites.LoginRequestResult.from_api({"login_request_id": "l"})
        ),
        "result": attempt(
            lambda: lime_sites.LoginResult.from_sse({"login_request_id": "l", "agent_passport_jwt": "j"})
        ),
        "result without passport": attempt(
            lambda: lime_sites.LoginResult.from_sse({"agent_passport_jwt": " "})
        ),
        "approval": attempt(lambda: lime_agents.ApprovalResult.from_api(APPROVED)),
        "profile": attempt(lambda: lime_agents.AgentProfile.from_api(PROFILE)),
        "profile without owner": attempt(lambda: lime_agents.AgentProfile.from_api({"agent_id": "a"})),
        "verified": attempt(lambda: lime_sites.PassportVerificationResult(True, {"agent_id": "a"})),
        "site error": shown(lime_sites.LimeError("m", code="C", http_status=1, detail={"d": 1})),
        "site api error": shown(lime_sites.ApiError("C", "m", http_status=400)),
        "agent api error": shown(lime_agents.ApiError("C", "m", http_status=400, detail={})),
        "no site token": attempt(lambda: lime_sites.LimeSite(site_token=" ")),
        "no agent token": attempt(lambda: lime_agents.LimeAgent(agent_token=" ")),
        "no loop": await asyncio.to_thread(attempt, lambda: lime_sites.LimeSite(site_token="st_x")),
    }
    found["private"] = private()
    values: list[Any] = [
        lime_sites.LoginRequestResult.from_api(MADE),
        lime_sites.LoginResult("l", "j"),
        lime_sites.PassportVerificationResult(True, {"agent_id": "a"}),
        lime_agents.ApprovalResult.from_api(APPROVED),
        lime_agents.AgentProfile.from_api(PROFILE),
        lime_sites.AuthenticationError("m", code="C", http_status=401, detail={"d": 1}),
        lime_sites.InvalidPassportError("m"),
        lime_agents.PowTimeoutError("m"),
    ]
    found["pickles"] = [base64.b64encode(pickle.dumps(value)).decode() for value in values]
    found["pickled"] = [repr(value) for value in values]
    return found


FRAMES: tuple[dict[str, Any], ...] = (
    {"type": "keepalive"},
    {"type": "approved", "login_request_id": "l", "agent_passport_jwt": "j"},
    {"type": "approved", "login_request_id": "l"},
    {"type": "approved", "agent_passport_jwt": "j"},
    {"type": "expired", "login_request_id": "l"},
    {"type": "error", "code": "C", "message": "m"},
    {"type": "error"},
    {"type": "another", "login_request_id": "l"},
    {},
)


def private() -> dict[str, Any]:
    """The private names that tests of programs import."""
    from lime_agents._errors import PowTimeoutError
    from lime_agents._pow import solve
    from lime_sites import _errors, _jwks
    from lime_sites import _sse as sse

    def told(action: Any) -> Any:
        try:
            return action()
        except Exception as error:
            return shown(error)

    assert issubclass(PowTimeoutError, Exception)
    assert issubclass(_errors.ApiError, _errors.LimeError)
    chunk = 'data: {"a": 1}\r\ndata:  x\nevent: e\ndata:\n\n: c\ndata: rest'
    return {
        "lines": sse.iter_sse_data_payloads("", chunk),
        "more lines": sse.iter_sse_data_payloads("data: re", "st\n"),
        "payloads": {
            text: told(lambda t=text: sse.parse_sse_json_payload(t)) for text in ('{"a": 1}', "[]", "{")
        },
        "frames": {json.dumps(f): told(lambda f=f: sse.classify_sse_payload(f)) for f in FRAMES},
        "kinds": [kind.value for kind in sse.SseFrameKind],
        "event": signature_of(sse.SseDispatchEvent),
        "pow": [solve("challenge", 8), solve("challenge", 0), signature_of(solve)],
        "too hard": told(lambda: solve("challenge", 200, max_timeout=0.01)),
        "clear": _jwks.clear_jwks_cache(),  # type: ignore[func-returns-value]
    }


def signature_of(what: Any) -> str:
    import inspect

    return str(inspect.signature(what).replace(return_annotation=inspect.Signature.empty))


class Broker(http.server.BaseHTTPRequestHandler):
    """Answers what the request's path says: /STATUS/BODY/v1/…"""

    protocol_version = "HTTP/1.1"
    sent: list[list[Any]]

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        _, status, answer, path = self.path.split("/", 3)
        names = ("authorization", "content-type")
        headers = {name: self.headers[name] for name in names if name in self.headers}
        self.sent.append([self.command, f"/{path}", headers, json.loads(body) if body else None])
        raw = base64.urlsafe_b64decode(answer)
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = handle_any

    def log_message(self, *args: Any) -> None:
        pass


STATE = {"approval_id": "ap_1", "status": "denied", "expires_at": "2030-01-02T03:04:05Z"}
BROKER_ANSWERS: dict[str, tuple[int, str]] = {
    "state": (200, json.dumps(STATE)),
    "no time": (200, json.dumps({"approval_id": "ap_1", "status": "approved"})),
    "another status": (200, json.dumps({"approval_id": "ap_1", "status": "odd", "more": 1})),
    "unauthorised": (401, json.dumps({"detail": "Invalid API key"})),
    "not found": (404, json.dumps({"detail": "Approval not found"})),
    "unprocessable": (422, json.dumps({"detail": [{"loc": ["body"]}]})),
    "text": (400, "plain"),
    "object without detail": (409, json.dumps({"a": 1})),
    "nothing": (403, ""),
}


def sesame() -> dict[str, Any]:
    """Sesame, verify_webhook and the models."""
    import sesame_sdk
    from sesame_sdk import ApprovalState, Sesame, TriggerResponse, WebhookPayload, verify_webhook

    Broker.sent = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broker)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def told(action: Any) -> Any:
        try:
            value = action()
        except Exception as error:
            return shown(error)
        if isinstance(value, sesame_sdk.Approval):
            public = {name: str(item) for name, item in sorted(vars(value).items()) if name[0] != "_"}
            return {"repr": repr(value), "approved": value.approved, "terminal": value.is_terminal, **public}
        return value

    found: dict[str, Any] = {"answers": {"get": {}, "trigger": {}, "wait": {}}}
    for name, (status, body) in BROKER_ANSWERS.items():
        answer = base64.urlsafe_b64encode(body.encode()).decode()
        base = f"http://127.0.0.1:{server.server_port}/{status}/{answer or '='}/"
        client = Sesame(api_key="sk_x", base_url=base)
        found["answers"]["get"][name] = told(lambda c=client: c.approvals.get("ap_1"))
        found["answers"]["trigger"][name] = told(
            lambda c=client: c.approvals.trigger("a", "s", reason="r", context={"k": [1, None, "ü"]})
        )
        found["answers"]["wait"][name] = told(
            lambda c=client: sesame_sdk.Approval("ap_1", "pending", c.approvals).wait(
                timeout=0.3, poll_interval=9
            )
        )
        client.close()
    found["answers"]["late"] = {}
    pending = base64.urlsafe_b64encode(json.dumps({**STATE, "status": "pending"}).encode()).decode()
    with Sesame(api_key="sk_x", base_url=f"http://127.0.0.1:{server.server_port}/200/{pending}/") as client:
        waiting = sesame_sdk.Approval("ap_1", "pending", client.approvals)
        for timeout in (1.0, 0.3, 0.0, 1, 0, -1.5):
            found["answers"]["late"][repr(timeout)] = told(
                lambda t=timeout: waiting.wait(t, poll_interval=0.1)
            )
    found["sent"] = [
        request for number, request in enumerate(Broker.sent) if request not in Broker.sent[:number]
    ]
    server.shutdown()
    gated = {}
    for status in ("approved", "denied", "expired"):

        class Given:
            approval_id, approved = "ap_1", status == "approved"

            def wait(self, timeout: float) -> None:
                pass

        class Client:
            approvals: Any = None

        Given.status = status  # type: ignore[attr-defined]
        asked: list[Any] = []
        client_: Any = Client()
        client_.approvals = type(
            "A", (), {"trigger": staticmethod(lambda *a, _g=Given, _s=asked, **k: _s.append([a, k]) or _g())}
        )

        @sesame_sdk.require_approval("pay", client=client_, reason="because")
        def function(amount: int) -> int:
            "Documented."
            return amount + 1

        outcome = told(lambda f=function: f(1))
        gated[status] = {
            **{"outcome": outcome, "asked": asked},
            **{"name": function.__name__, "doc": function.__doc__},
        }
    found["gate"] = gated
    values: list[Any] = [
        TriggerResponse(approval_id="ap_1", status="pending"),
        ApprovalState.model_validate(STATE),
        ApprovalState.model_validate({"approval_id": "a", "status": "s", "unknown": 1}),
        WebhookPayload.model_validate({**STATE, "action": "a", "decided_at": "2030-01-02T03:04:05+02:00"}),
    ]
    found["models"] = [
        [repr(v), {k: str(x) for k, x in v.model_dump().items()}, v == type(v).model_validate(v.model_dump())]
        for v in values
    ]
    found["samples"] = {
        "no key": told(lambda: Sesame(api_key="")),
        "denied": shown(sesame_sdk.ApprovalDenied("m", approval_id="a", status="denied")),
        "bare denied": shown(sesame_sdk.ApprovalDenied("m")),
        "timeout": shown(sesame_sdk.ApprovalTimeout("m", approval_id="a")),
        "error": shown(sesame_sdk.ApprovalError("m", 1)),
        "webhook error": shown(sesame_sdk.WebhookVerificationError("m")),
    }
    import hashlib
    import hmac
    import time

    body = b'{"approval_id": "ap_1", "status": "approved", "n": [1, 2.5, null]}'

    def signed(body: bytes, **change: str) -> dict[str, str]:
        return {
            "x-sesame-signature": hmac.new(b"secret", body, hashlib.sha256).hexdigest(),
            "X-SESAME-TIMESTAMP": str(int(time.time())),
            **change,
        }

    bodies: dict[str, tuple[dict[str, str], bytes | str]] = {
        "good": (signed(body), body),
        "text": (signed(body), body.decode()),
        "no signature": ({}, body),
        "empty signature": (signed(body, **{"x-sesame-signature": ""}), body),
        "no timestamp": ({"X-Sesame-Signature": "x"}, body),
        "timestamp is a text": (signed(body, **{"X-SESAME-TIMESTAMP": "soon"}), body),
        "old": (signed(body, **{"X-SESAME-TIMESTAMP": "1000000000"}), body),
        "new": (signed(body, **{"X-SESAME-TIMESTAMP": "9000000000"}), body),
        "tampered": (signed(body), body + b" "),
        "no json": (signed(b"{"), b"{"),
    }
    found["webhooks"] = {
        name: told(lambda h=headers, b=raw: verify_webhook(h, b, "secret"))
        for name, (headers, raw) in bodies.items()
    }
    errors = [
        sesame_sdk.ApprovalDenied("m", approval_id="a", status="denied"),
        sesame_sdk.ApprovalTimeout("m", approval_id="a"),
        sesame_sdk.NotFoundError("m"),
    ]
    found["pickles"] = [base64.b64encode(pickle.dumps(value)).decode() for value in [*values, *errors]]
    found["pickled"] = [repr(value) for value in [*values, *errors]]
    return found


METADATA = {"issuer": "https://lime.example", "jwks_uri": "https://lime.example/keys"}
KEYS = {"keys": [{"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}]}
# What the platform may answer to a fetch of the keys: the metadata, then the keys.
KEY_ANSWERS: dict[str, tuple[tuple[int, str], tuple[int, str]]] = {
    "good": ((200, json.dumps(METADATA)), (200, json.dumps(KEYS))),
    "metadata: none": ((503, ""), (200, "")),
    "metadata: forbidden": ((403, "{}"), (200, "")),
    "metadata: created": ((201, json.dumps(METADATA)), (200, json.dumps(KEYS))),
    "metadata: no json": ((200, "<html>"), (200, "")),
    "metadata: a list": ((200, "[]"), (200, "")),
    "metadata: no issuer": ((200, json.dumps({"jwks_uri": "/keys"})), (200, "")),
    "metadata: no keys": ((200, json.dumps({"issuer": "i"})), (200, "")),
    "metadata: odd grants": ((200, json.dumps({**METADATA, "grant_types_supported": "x"})), (200, "")),
    "keys elsewhere": ((200, json.dumps({**METADATA, "jwks_uri": "https://evil.example/keys"})), (200, "")),
    "keys at a longer name": (
        (200, json.dumps({**METADATA, "jwks_uri": "https://lime.example.evil.example/keys"})),
        (200, ""),
    ),
    "keys with a user": (
        (200, json.dumps({**METADATA, "jwks_uri": "https://lime.example@evil.example/keys"})),
        (200, ""),
    ),
    "keys in a file": ((200, json.dumps({**METADATA, "jwks_uri": "file:///etc/passwd"})), (200, "")),
    "keys at a path": ((200, json.dumps({**METADATA, "jwks_uri": "/keys"})), (200, json.dumps(KEYS))),
    "keys: none": ((200, json.dumps(METADATA)), (500, "")),
    "keys: no json": ((200, json.dumps(METADATA)), (200, "{")),
    "keys: a list": ((200, json.dumps(METADATA)), (200, "[]")),
    "keys: empty": ((200, json.dumps(METADATA)), (200, json.dumps({"keys": []}))),
    "keys: missing": ((200, json.dumps(METADATA)), (200, "{}")),
}
# Header, payload and signature that only a key can tell to be wrong.
UNKNOWN_KEY = "eyJhbGciOiJSUzI1NiIsImtpZCI6InVua25vd24ifQ.e30.AAAA"


def mcp() -> dict[str, Any]:
    """TokenVerifier, JwksCache and the settings."""
    import httpx

    from lime_mcp_server import (
        FORBIDDEN_MCP_CLAIMS,
        JWKS_PATH,
        METADATA_PATH,
        JwksCache,
        LimeConfig,
        TokenValidationResult,
        TokenVerifier,
        jwks_cache_ttl_seconds,
        normalize_mcp_domain,
    )

    def told(action: Any) -> Any:
        try:
            return repr(action())
        except Exception as error:
            return {"class": type(error).__name__, "str": str(error)}

    found: dict[str, Any] = {"answers": {"verify": {}, "paths": {}, "fetches": {}, "get_jwks": {}}}
    for name, answers in KEY_ANSWERS.items():
        paths: list[str] = []

        def answer(request: httpx.Request, answers: Any = answers, paths: Any = paths) -> httpx.Response:
            paths.append(str(request.url))
            status, text = answers[0 if request.url.path == METADATA_PATH else 1]
            return httpx.Response(status, text=text)

        config = LimeConfig(base_url="https://lime.example", expected_domain="tools.example.com")
        cache = JwksCache(config, http_client=httpx.Client(transport=httpx.MockTransport(answer)))
        found["answers"]["get_jwks"][name] = told(lambda c=cache: c.get_jwks(None))
        found["answers"]["fetches"][name] = cache.fetch_count
        found["answers"]["paths"][name] = sorted(set(paths))
        verifier = TokenVerifier(config=config, cache=cache)
        found["answers"]["verify"][name] = told(lambda v=verifier: v.verify(UNKNOWN_KEY))
    config = LimeConfig(base_url="https://lime.example", expected_domain="https://Tools.Example.com/x")
    quiet = JwksCache(
        config, http_client=httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    )
    verifier = TokenVerifier(config=config, cache=quiet)
    found["verifier"] = {
        "config": repr(verifier.config),
        "other config": repr(
            TokenVerifier(
                config=config,
                cache=quiet,
                expected_domain="a.example",
                base_url="https://other.example/",
                audience="x",
                cache_ttl=0,
                leeway_seconds=1,
                min_refresh_seconds=2,
            ).config
        ),
        "cache": verifier.cache is quiet,
        "warmup": verifier.warmup(),
        "no token": {
            text: told(lambda t=text: verifier.verify(t).is_valid) for text in ("", "x", "a.b", "a.b.c")
        },
        "no domain": told(lambda: TokenVerifier(cache=quiet)),
        "empty domain": told(lambda: TokenVerifier(expected_domain=" ", config=config, cache=quiet)),
        "bad domain": told(lambda: TokenVerifier(expected_domain="localhost", cache=quiet)),
    }
    claims: Any = {"sub": "a", "domain": "d.example"}
    odd: Any = {"sub": " ", "domain": 7}
    results = [
        TokenValidationResult(True, claims),
        TokenValidationResult(False, claims, "no"),
        TokenValidationResult(True, odd),
        TokenValidationResult(False),
    ]
    found["results"] = [[repr(r), r.agent_id, r.domain, r.valid_claims] for r in results]
    found["values"] = [METADATA_PATH, JWKS_PATH, sorted(FORBIDDEN_MCP_CLAIMS), jwks_cache_ttl_seconds()]
    found["config"] = repr(LimeConfig())
    found["domains"] = {
        raw: told(lambda r=raw: normalize_mcp_domain(r)) for raw in ("A.example/x", "", "a:1", "10.0.0.1")
    }
    values = [*results, LimeConfig(), config, LimeConfig(cache_ttl=5, audience="x")]
    found["pickles"] = [base64.b64encode(pickle.dumps(value)).decode() for value in values]
    found["pickled"] = [repr(value) for value in values]
    return found


if __name__ == "__main__":
    made = {"lime": lambda: asyncio.run(lime()), "sesame": sesame, "mcp": mcp}[sys.argv[1]]
    json.dump(made(), sys.stdout, default=str)
