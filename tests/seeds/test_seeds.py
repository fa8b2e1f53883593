"""Every program of the seed documents does here what its document says, word for word."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from conftest import Sandbox, until_open
from local_network import Certificates, Proxy
from programs import blocks, documents

import lime_agents
from lime_agents import ApiError, ApprovalResult, LimeAgent
from lime_sites import LimeSite
from sesame_sdk import Sesame, sign_webhook

SITES, AGENTS, SESAME = "lime-sites-sdk", "lime-agents-sdk", "sesame-sdk"
RAN: list[tuple[str, str]] = []


def shows(document: str, title: str) -> Any:
    """Mark the test of a program; the test gets its code."""
    RAN.append((document, title))
    return pytest.mark.parametrize("code", [pytest.param(blocks(document)[title], id=title)])


def start(code: str, **names: Any) -> dict[str, Any]:
    """Run a program and give its names."""
    namespace = {"__name__": "document", **names}
    exec(compile(code, "document", "exec"), namespace)
    return namespace


async def start_async(code: str, **names: Any) -> dict[str, Any]:
    """Run a program that awaits at its top level."""
    namespace = {"__name__": "document", **names}
    found = eval(compile(code, "document", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
    if inspect.isawaitable(found):
        await found
    return namespace


def post(url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers or {}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@contextlib.contextmanager
def program(command: list[str], **options: Any) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """A program that runs beside the test, and never longer than it; with what it prints."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, **options) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process, process.stdout, process.stderr
        except BaseException:
            process.kill()
            raise


def signed_in(action: Callable[[str], Any]) -> Any:
    """What an agent's program makes of a login request, with the site's stream open."""

    async def main() -> Any:
        async with LimeSite() as site:
            await until_open(site)
            return await action((await site.create_login_request()).request_id)

    return asyncio.run(main())


def test_every_program_has_a_test() -> None:
    written = [(document, title) for document in documents() for title in blocks(document)]
    assert len(written) == 22
    assert sorted(RAN) == sorted(written)


# lime-sites-sdk


SERVER = textwrap.dedent(
    """
    import json, socket, sys, uvicorn, app

    class Observed(dict):  # so that nobody has to look again and again
        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            print("signed in", key, json.dumps(value), sep="\\t", flush=True)

        def pop(self, key, *default):
            print("expired", key, sep="\\t", flush=True)
            return super().pop(key, *default)

    app.pending_logins = Observed(app.pending_logins)
    listener = socket.socket(fileno=int(sys.argv[1]))
    uvicorn.Server(uvicorn.Config(app.app, log_level="warning")).run(sockets=[listener])
    """
)


@shows(SITES, "Quick start (FastAPI)")
def test_a_site_under_uvicorn(code: str, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(code)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/login/start"
        command = [sys.executable, "-c", SERVER, str(listener.fileno())]
        started = program(command, cwd=tmp_path, pass_fds=[listener.fileno()])
        with started as (server, printed, complaints):
            for _ in range(2):
                status, body = post(url)
                request_id = json.loads(body)["request_id"]
                assert status == 200
                result = asyncio.run(LimeAgent().login(request_id))
                what, found, claims = printed.readline().rstrip("\n").split("\t")
                assert (what, found) == ("signed in", request_id)
                assert json.loads(claims)["agent_id"] == result.approved_agent_id
            request_id = json.loads(post(url)[1])["request_id"]
            sandbox.expire(request_id)
            assert printed.readline() == f"expired\t{request_id}\n"
            server.send_signal(signal.SIGTERM)
            assert complaints.read() == ""
    assert server.returncode in (0, -signal.SIGTERM)
    sandbox.control("GET", "/streams?max_open=0&wait_ms=20000")


# The document: "replace with your app loop". This one ends when the passport is there.
APP_LOOP = textwrap.dedent(
    """
    import asyncio, sys

    names = {"__name__": "__main__"}

    async def app_loop(seconds):
        assert seconds == 120
        filled = asyncio.get_running_loop().create_future()

        class Observed(dict):
            def __setitem__(self, key, value):
                super().__setitem__(key, value)
                filled.set_result(None)

        names["pending"] = Observed()
        print("waiting", flush=True)
        await filled

    asyncio.sleep = app_loop
    exec(compile(sys.argv[1], "document", "exec"), names)
    print(*names["pending"].items())
    """
)


@shows(SITES, "Minimal example (asyncio.run)")
def test_the_minimal_site(code: str, sandbox: Sandbox) -> None:
    with program([sys.executable, "-c", APP_LOOP, code]) as (process, printed, complaints):
        assert printed.readline() == "waiting\n"
        (request,) = sandbox.control("GET", "/login-requests")["login_requests"]
        request_id = request["login_request_id"]
        sandbox.approve(request_id)
        assert printed.readline().startswith(f"('{request_id}', 'eyJ")
        assert complaints.read() == ""
    assert process.returncode == 0


@shows(SITES, "End-to-end with lime-agents-sdk")
def test_end_to_end(code: str, sandbox: Sandbox) -> None:
    asyncio.run(start(code)["demo"]())
    (request,) = sandbox.control("GET", "/login-requests")["login_requests"]
    assert request["status"] == "DELIVERED"


@shows(SITES, "Production deployment")
def test_a_site_with_a_shared_client(code: str, sandbox: Sandbox) -> None:
    # At the top of a module, as printed, no loop is running.
    with pytest.raises(RuntimeError, match="running asyncio event loop"):
        start(code)

    async def main() -> None:
        names = await start_async(code)
        async with names["http_client"], names["site"] as site:
            await until_open(site)
            request = await site.create_login_request()
            arrived = asyncio.ensure_future(site.wait_for_login(request.request_id))
            sandbox.approve(request.request_id)
            assert (await arrived or "").startswith("eyJ")

    asyncio.run(main())
    agents = {entry["headers"]["user-agent"].split("/")[0] for entry in sandbox.received("events")}
    assert agents == {"python-httpx"}


# lime-agents-sdk


@pytest.fixture
def of_the_document(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A platform that knows the token which the document prints."""
    running = Sandbox("--difficulty", "8", "--agent-token", "at_...")
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LIME_AGENT_TOKEN")
    yield running
    running.close()


AS_PRINTED, AS_MEANT = "return await self.login(request_id)", "return await super().login(request_id)"


@shows(AGENTS, "Minimal")
def test_the_minimal_agent(code: str, of_the_document: Sandbox) -> None:
    # As printed it calls itself for ever.
    assert code.count(AS_PRINTED) == 1
    with pytest.raises(RecursionError):
        asyncio.run(start(code)["login_to_site"]("lr_1"))
    assert of_the_document.received("challenge") == []
    assert signed_in(start(code.replace(AS_PRINTED, AS_MEANT))["login_to_site"]) == "DELIVERED"


@shows(AGENTS, "Production")
def test_an_agent_that_asks_once_more(
    code: str, of_the_document: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RecursionError):
        asyncio.run(start(code)["Agent"]().on_login_required("lr_1"))
    agent = start(code.replace(AS_PRINTED, AS_MEANT))["Agent"]
    assert signed_in(agent().on_login_required) == "DELIVERED"
    assert signed_in(lambda _: agent().on_login_required("lr_unknown")) is None
    assert capsys.readouterr().out.startswith("[")
    of_the_document.control("PUT", "/settings", {"pow_difficulty": 300})  # nobody can solve that
    before = len(of_the_document.received("challenge"))
    assert signed_in(agent().on_login_required) is None
    assert len(of_the_document.received("challenge")) == before + 2


@shows(AGENTS, "Authentication")
def test_no_token(code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for token in (None, "", "  "):
        if token is None:
            monkeypatch.delenv("LIME_AGENT_TOKEN", raising=False)
        else:
            monkeypatch.setenv("LIME_AGENT_TOKEN", token)
        start(code)
        assert capsys.readouterr().out == (
            "Agent token is required. Pass agent_token= or set LIME_AGENT_TOKEN.\n"
        )


@shows(AGENTS, "Integration pattern: Headless agent")
def test_a_trading_agent(code: str, sandbox: Sandbox) -> None:
    agent = start(code)["TradingAgent"](sandbox.agent_token)
    assert signed_in(agent.on_login_required) == "DELIVERED"


@shows(AGENTS, "Production deployment")
def test_one_agent_for_all_tasks(code: str, sandbox: Sandbox) -> None:
    names = start(code)
    for _ in range(2):  # each in a loop of its own
        assert signed_in(names["handle_login"]) == "DELIVERED"
    asyncio.run(names["agent"].aclose())


@shows(AGENTS, "Constructor")
def test_the_constructor(code: str, sandbox: Sandbox) -> None:
    agent = start(code, LimeAgent=LimeAgent)["agent"]
    asyncio.run(agent.aclose())
    assert sandbox.control("GET", "/received")["received"] == []


@shows(AGENTS, "async login(request_id: str) -> ApprovalResult")
def test_login(code: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    printed_id = "550e8400-e29b-41d4-a716-446655440000"
    assert printed_id in code
    asyncio.run(start_async(code))
    _, status, _ = capsys.readouterr().out.split(" ", 2)
    assert status == "404"
    names = signed_in(lambda request_id: start_async(code.replace(printed_id, request_id)))
    assert isinstance(names["result"], ApprovalResult)
    assert capsys.readouterr().out == f"DELIVERED {names['result'].approved_agent_id}\n"
    sandbox.control("PUT", "/settings", {"pow_difficulty": 300})
    signed_in(lambda request_id: start_async(code.replace(printed_id, request_id)))
    assert capsys.readouterr().out == "PoW not solved in time; increase pow_timeout or retry\n"


@shows(AGENTS, "async get_profile() -> AgentProfile")
def test_get_profile(code: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    profile = asyncio.run(start_async(code, LimeAgent=LimeAgent))["profile"]
    assert capsys.readouterr().out == (
        f"{profile.agent_id}\n{profile.owner_kyc_level}\n{profile.agent_reputation}\n"
    )


def answer(status: int, code: str | None = None, message: str = "Why.", data: Any = None) -> dict[str, Any]:
    body = {"ok": False, "error": {"code": code, "message": message}} if code else {"ok": True, "data": data}
    return {"route": "challenge", "status": status, "body": body, "count": 0}


TOO_HARD = answer(200, data={"pow_challenge": "c", "pow_difficulty": 300, "status": "PENDING"})


@shows(AGENTS, "Error handling")
@pytest.mark.parametrize(
    ("fault", "printed"),
    [
        (None, "api [404] "),
        ("no token", "auth: Agent token is required. Pass agent_token= or set LIME_AGENT_TOKEN.\n"),
        (answer(401, "ANY"), "auth: Why.\n"),
        (answer(429, "ANY"), "rate limit: 429\n"),
        (answer(409, "SITE_LOGIN_CONFLICT"), "api [409] SITE_LOGIN_CONFLICT: Why.\n"),
        (TOO_HARD, "pow: "),
        ({"route": "challenge", "action": "garbage"}, "sdk: Invalid JSON response (HTTP 200)\n"),
    ],
    ids=["unknown", "no-token", "refused", "rate-limit", "conflict", "too-hard", "garbage"],
)
def test_errors(code: str, fault: Any, printed: str, sandbox: Sandbox) -> None:
    environment = dict(os.environ)
    if fault == "no token":
        del environment["LIME_AGENT_TOKEN"]
    elif fault is not None:
        sandbox.fault(**fault)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(printed)


@shows(AGENTS, "Logging")
@pytest.mark.parametrize("which", ["Logging", "PoW debugging"])
def test_logging(code: str, which: str, sandbox: Sandbox) -> None:
    setup = code if which == "Logging" else f"import logging\nlogging.basicConfig()\n{blocks(AGENTS)[which]}"
    source = f"{setup}\nimport asyncio, sys, lime_agents\n" + textwrap.dedent(
        """
        async def main():
            async with lime_agents.LimeAgent() as agent:
                await agent.login(sys.argv[1])
        asyncio.run(main())
        """
    )
    sandbox.fault("challenge", status=503)

    async def run(request_id: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", source, request_id]
        return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)

    done = signed_in(run)
    assert (done.returncode, done.stdout) == (0, "")
    (approval,) = sandbox.received("approve")
    challenge = f"{sandbox.api_base}/auth/requests/"
    assert f"DEBUG:lime:GET {challenge}" in done.stderr
    assert f"DEBUG:lime:POST {sandbox.api_base}/modules/agent-login/requests/" in done.stderr
    assert "WARNING:lime:Retrying GET" in done.stderr
    nonce = json.loads(approval["body"])["pow_nonce"]
    assert sandbox.agent_token not in done.stderr
    assert f"nonce={nonce}" not in done.stderr
    assert "pow_" not in done.stderr


RAN.append((AGENTS, "PoW debugging"))


@shows(AGENTS, "Custom httpx.AsyncClient")
def test_a_corporate_proxy_and_ca(
    code: str, of_the_document: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates(tmp_path)
    made: list[httpx.AsyncClient] = []
    real = httpx.AsyncClient
    with (
        Proxy() as proxy,
        certificates.front(int(of_the_document.api_base.split(":")[2].split("/")[0])) as front,
    ):

        def as_printed(**options: Any) -> httpx.AsyncClient:
            assert options == {
                "timeout": 60.0,
                "verify": "/path/to/corporate-ca.pem",
                "proxy": "http://proxy.corp.example:8080",
            }
            with pytest.warns(DeprecationWarning, match="verify"):
                client = real(timeout=60.0, verify=str(certificates.ca), proxy=proxy.url)
            made.append(client)
            return client

        monkeypatch.setattr(httpx, "AsyncClient", as_printed)
        monkeypatch.setenv("LIME_API_BASE", f"https://localhost:{front.port}/api/v1")
        login = start(code)["login_with_proxy"]
        with pytest.raises(ApiError) as caught:
            asyncio.run(login())
        assert caught.value.http_status == 404
        assert proxy.asked == [("CONNECT", f"localhost:{front.port}")]
        monkeypatch.setenv("LIME_API_BASE", of_the_document.api_base)
        asyncio.run(create(tmp_path))
        monkeypatch.setenv("LIME_API_BASE", f"https://localhost:{front.port}/api/v1")
        request_id = (tmp_path / "id").read_text()
        asyncio.run(start(code.replace("lr_abc123", request_id))["login_with_proxy"]())
    assert len(of_the_document.received("approve")) == 1
    assert all(client.is_closed for client in made)


async def create(folder: Path) -> None:
    async with LimeSite() as site:
        (folder / "id").write_text((await site.create_login_request()).request_id)


@shows(AGENTS, "Retries and timeouts")
def test_retries(code: str, of_the_document: Sandbox) -> None:
    of_the_document.fault("profile", status=503, count=0, headers={"retry-after": "0"})

    async def main() -> None:
        async with start(code, LimeAgent=LimeAgent)["agent"] as agent:
            with pytest.raises(lime_agents.ApiError):
                await agent.get_profile()

    asyncio.run(main())
    assert len(of_the_document.received("profile")) == 6  # max_retries=5


# sesame-sdk


@shows(SESAME, "Configuration")
def test_clients(code: str, sandbox: Sandbox) -> None:
    client = start(code)["client"]
    assert isinstance(client, Sesame)


class Recorder:
    """Notes what is called on it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Part(self, name)


class _Part:
    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder, self._name = recorder, name

    def __getattr__(self, name: str) -> _Part:
        return _Part(self._recorder, f"{self._name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self._recorder.calls.append((self._name, args, kwargs))


@shows(SESAME, "Gate a function with @require_approval")
@pytest.mark.parametrize("decision", ["approved", "denied"])
def test_a_gate(code: str, decision: str, sandbox: Sandbox) -> None:
    sandbox.control("POST", "/rules", {"action": "payments.*", "decision": decision})
    stripe, log = Recorder(), Recorder()
    start(code, stripe=stripe, log=log)
    (approval,) = sandbox.control("GET", "/approvals")["approvals"]
    assert approval["summary"] == "Refund $42.00 to customer"
    if decision == "approved":
        assert stripe.calls == [("Refund.create", (), {"amount": 4200, "customer": "cus_123"})]
        assert log.calls == []
    else:
        assert stripe.calls == []
        assert log.calls == [("warning", ("refund rejected by operator",), {})]


@shows(SESAME, "Trigger and wait explicitly")
@pytest.mark.parametrize("decision", ["approved", "denied"])
def test_trigger_and_wait(
    code: str, decision: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.control("POST", "/rules", {"action": "db.*", "decision": decision, "delay_ms": 20})
    ran: list[str] = []
    start(code, run_deletion=lambda: ran.append("deleted"))
    (approval,) = sandbox.control("GET", "/approvals")["approvals"]
    assert approval["context"] == {"table": "orders", "rows": 1204}
    assert approval["reason"] == "GDPR erasure request #882"
    assert ran == (["deleted"] if decision == "approved" else [])
    assert capsys.readouterr().out == ("" if decision == "approved" else "decision: denied\n")


def decide_and_receive(sandbox: Sandbox, hook: str, decisions: queue.Queue[tuple[str, str]]) -> None:
    """Approvals that are decided reach the program; what is tampered with does not."""
    client = Sesame()
    for decision in ("approved", "denied"):
        approval = client.approvals.trigger("db.delete", "s", callback_url=hook)
        sandbox.control("POST", f"/approvals/{approval.approval_id}/decision", {"decision": decision})
        assert decisions.get(timeout=30) == (approval.approval_id, decision)
        query = f"/webhooks?approval_id={approval.approval_id}&min=1&wait_ms=20000"
        (delivery,) = sandbox.control("GET", query)["webhooks"]
        assert (delivery["status"], delivery["delivered"]) == (204, True)
    body = b'{"approval_id": "ap_1", "status": "approved"}'
    headers = sign_webhook(body, sandbox.webhook_secret)
    assert post(hook, body, headers)[0] == 204
    assert decisions.get(timeout=30) == ("ap_1", "approved")
    assert post(hook, body + b" ", headers)[0] == 400
    assert post(hook, body)[0] == 400
    assert decisions.empty()


@shows(SESAME, "Flask")
def test_webhooks_under_a_wsgi_server(code: str, sandbox: Sandbox) -> None:
    from werkzeug.serving import make_server

    decisions: queue.Queue[tuple[str, str]] = queue.Queue()
    names = start(code, os=os, handle_decision=lambda *decision: decisions.put(decision))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, names["app"], threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        decide_and_receive(sandbox, f"http://127.0.0.1:{server.server_port}/sesame/webhook", decisions)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@shows(SESAME, "FastAPI")
def test_webhooks_under_an_asgi_server(code: str, sandbox: Sandbox) -> None:
    import uvicorn

    decisions: queue.Queue[tuple[str, str]] = queue.Queue()
    names = start(
        code,
        WEBHOOK_SECRET=sandbox.webhook_secret,
        handle_decision=lambda *decision: decisions.put(decision),
    )
    server = uvicorn.Server(uvicorn.Config(names["app"], log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            hook = f"http://127.0.0.1:{listener.getsockname()[1]}/sesame/webhook"
            decide_and_receive(sandbox, hook, decisions)
        finally:
            server.should_exit = True
            thread.join()
