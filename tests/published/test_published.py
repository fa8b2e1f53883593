"""The published packages themselves, unmodified, against the sandbox: it emulates what they speak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import ROOT, Sandbox

sys.path.insert(0, str(ROOT / "tools"))

from throwaway import environment

STORY = textwrap.dedent(
    """
    import asyncio
    from lime_sites import LimeSite

    async def main():
        import lime_agents
        from importlib.metadata import version
        site = LimeSite()
        arrived = asyncio.get_running_loop().create_future()

        @site.on_login
        async def handler(request_id, passport):
            arrived.set_result((request_id, passport))

        request = await site.create_login_request()
        async with lime_agents.LimeAgent() as agent:
            result = await agent.login(request.request_id)
            profile = await agent.get_profile()
        request_id, passport = await asyncio.wait_for(arrived, 30)
        assert request_id == request.request_id == result.request_id
        verified = await site.verify_passport(passport, expected_request_id=request_id)
        assert verified.valid and verified.claims["agent_id"] == profile.agent_id
        print(version("lime-sites-sdk"), version("lime-agents-sdk"), result.status)
        await site.aclose()

    asyncio.run(main())
    """
)


SESAME_STORY = textwrap.dedent(
    """
    import http.server, json, os, queue, sys, threading, urllib.request
    from importlib.metadata import version
    from sesame_sdk import *
    from sesame_sdk import ApprovalState

    CONTROL, SECRET = os.environ["CONTROL"], os.environ["SESAME_WEBHOOK_SECRET"]
    deliveries = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            deliveries.put((self.headers, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook = f"http://127.0.0.1:{server.server_port}/"

    def control(path, body):
        request = urllib.request.Request(CONTROL + path, json.dumps(body).encode())
        urllib.request.urlopen(request).close()

    control("/rules", [
        {"action": "payments.*", "decision": "approved", "delay_ms": 50},
        {"action": "db.*", "decision": "denied"},
    ])
    ran = []

    @require_approval("payments.refund", summary=lambda amount: f"Refund {amount}", timeout=30)
    def refund(amount):
        ran.append(amount)

    @require_approval("db.delete")
    def delete():
        ran.append("deleted")

    refund(42)
    try:
        delete()
    except ApprovalDenied as error:
        assert error.status == "denied" and error.approval_id
    assert ran == [42]

    with Sesame() as client:
        approval = client.approvals.trigger(
            action="payments.refund", summary="s", reason="r", dedup_key="d", callback_url=hook,
            severity="high", context={"a": [1, {"b": None}]},
        )
        assert approval.status == "pending"
        assert client.approvals.trigger("payments.refund", "s", dedup_key="d").approval_id == approval.approval_id
        approval.wait(timeout=30)
        assert approval.approved and approval.expires_at is not None
        headers, body = deliveries.get(timeout=30)
        payload = verify_webhook(headers, body, SECRET)
        WebhookPayload.model_validate(payload)
        assert (payload["approval_id"], payload["status"]) == (approval.approval_id, "approved")
        try:
            verify_webhook(headers, body + b" ", SECRET)
        except WebhookVerificationError:
            pass
        else:
            raise AssertionError
        try:
            client.approvals.get("nobody")
        except NotFoundError:
            pass
        else:
            raise AssertionError
        try:
            Sesame(api_key="sk_wrong").approvals.trigger("a", "b")
        except SesameAuthError:
            pass
        else:
            raise AssertionError
        quiet = client.approvals.trigger("quiet", "s")
        try:
            quiet.wait(timeout=0.2)
        except ApprovalTimeout as error:
            assert error.approval_id == quiet.approval_id
        else:
            raise AssertionError
    print(version("sesame-sdk"))
    """
)


BINDING_STORY = textwrap.dedent(
    """
    import asyncio, httpx, json, os, sys, urllib.request
    from urllib.parse import parse_qs, urlsplit
    import lime_sites
    from lime_sites import ApiError, BindingRequestResult, InvalidPassportError, LimeSite

    OURS = "ours" in sys.argv
    CONTROL = os.environ["CONTROL"]

    def control(path, body=None, method="POST"):
        request = urllib.request.Request(CONTROL + path, json.dumps(body or {}).encode(), method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    async def exchange(site, code):
        # The published package leaves this call to its users.
        if OURS:
            return await site.exchange_binding_code(code)
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                os.environ["LIME_API_BASE"] + "/modules/bindings/exchange",
                headers={"X-Site-Token": os.environ["LIME_SITE_TOKEN"]},
                json={"binding_code": code},
            )
        answer.raise_for_status()
        return answer.json()["data"]["passport"]

    async def main():
        site = LimeSite(max_retries=0)
        request = await site.create_binding_request(redirect_uri="https://shop.example/bind")
        assert type(request) is BindingRequestResult and request.status == "PENDING"
        assert request.expires_at.tzinfo is not None
        url = control(f"/bindings/{request.binding_id}/complete")["redirect_url"]
        code = parse_qs(urlsplit(url).query)["binding_code"][0]
        passport = await exchange(site, code)
        verified = await site.verify_binding_passport(passport)
        assert verified.valid and verified.claims["binding_id"] == request.binding_id
        assert verified.claims["agent_id"] == control("/info", method="GET")["agent_id"]
        for wrong in (site.verify_passport(passport), site.verify_binding_passport("a.b.c")):
            try:
                await wrong
            except InvalidPassportError:
                pass
            else:
                raise AssertionError
        # One that lives too long is refused, and so is another redirect URI.
        control("/settings", {"binding_passport_ttl_seconds": 61}, "PUT")
        request = await site.create_binding_request(redirect_uri="https://shop.example/bind")
        code = control(f"/bindings/{request.binding_id}/complete")["binding_code"]
        try:
            await site.verify_binding_passport(await exchange(site, code))
        except InvalidPassportError as error:
            assert "TTL" in str(error)
        else:
            raise AssertionError
        try:
            await site.create_binding_request(redirect_uri="not-a-url")
        except ApiError as error:
            assert (error.code, error.http_status) == ("VALIDATION_ERROR", 400)
        else:
            raise AssertionError
        import lime_agents
        agent_id = control("/info", method="GET")["agent_id"]
        async with lime_agents.LimeAgent(max_retries=0) as agent:
            for call, kind in (
                ("suspend-user", lime_agents.AgentUserSuspendedError),
                ("deactivate", lime_agents.AgentInactiveError),
                (None, lime_agents.AuthUnavailableError),
            ):
                if call is None:
                    control("/settings", {"auth_unavailable": True}, "PUT")
                else:
                    control(f"/agents/{agent_id}/{call}")
                try:
                    await agent.get_profile()
                except lime_agents.LimeError as error:
                    assert type(error) is kind, repr(error)
                else:
                    raise AssertionError
        try:
            await site.create_login_request()
        except lime_sites.SiteAuthUnavailableError as error:
            assert isinstance(error, ApiError) and error.http_status == 503
        else:
            raise AssertionError
        await site.aclose()
        from importlib.metadata import version
        print("ours" if OURS else version("lime-sites-sdk"))

    asyncio.run(main())
    """
)


MCP_SERVER = ("lime-mcp-server-sdk==1.0.2", "PyJWT==2.15.1")
PAIRS = {
    "seed": ("lime-sites-sdk==1.0.1", "lime-agents-sdk==0.2.0"),
    "today": ("lime-sites-sdk==2.0.6", "lime-agents-sdk==3.0.2"),
}


@pytest.mark.parametrize(
    ("release", "platform"), [("seed", "seed"), ("today", "today"), ("seed", "both"), ("today", "both")]
)
def test_the_published_packages_sign_in(release: str, platform: str) -> None:
    python = environment(release, *PAIRS[release])
    sandbox = Sandbox("--platform", platform)
    story = subprocess.run(
        [str(python), "-c", STORY],
        env={**os.environ, **sandbox.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    sandbox.close()
    versions = " ".join(pin.split("==")[1] for pin in PAIRS[release])
    assert (story.returncode, story.stderr) == (0, "")
    assert story.stdout.startswith(versions)


@pytest.mark.parametrize("platform", ["today", "both"])
@pytest.mark.parametrize("who", ["2.0.6", "ours"])
def test_an_agent_is_connected_with_an_account(who: str, platform: str) -> None:
    """The same program, with the published package, unmodified, and with this one."""
    python = environment("today", *PAIRS["today"]) if who != "ours" else Path(sys.executable)
    sandbox = Sandbox("--platform", platform)
    story = subprocess.run(
        [str(python), "-c", BINDING_STORY, who],
        env={**os.environ, **sandbox.environment, "CONTROL": sandbox.control_url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    sandbox.close()
    assert (story.stdout, story.stderr, story.returncode) == (f"{who}\n", "", 0)


# Runs the vectors through the published verification, with its clock and its keys in our hands.
VERDICTS = textwrap.dedent(
    """
    import asyncio, json, sys, warnings
    from lime_sites import InvalidPassportError, _jwks

    warnings.simplefilter("ignore")  # of keys that are too short
    vectors = json.load(open(sys.argv[1]))
    verdicts = {}

    class Client:
        def __init__(self, case):
            self.base_url = case["api_root"]
            self.document = vectors["jwks"][case["jwks"]]

        async def fetch_spec_document(self, path):
            return self.document

    for case in vectors["cases"]:
        _jwks.clear_jwks_cache()
        _jwks.time.time = lambda: case["now"]
        try:
            result = asyncio.run(_jwks.verify_binding_jwt(Client(case), case["jwt"]))
        except InvalidPassportError:
            verdicts[case["id"]] = None
        else:
            verdicts[case["id"]] = result.claims
    print(json.dumps(verdicts))
    """
)

# What it takes and we do not, or the other way round; COMPATIBILITY.md has a row for each reason.
OTHER_VERDICTS = {
    "minimal": "refused for want of an issuer",
    "enveloped-jwks": "refused: the key document is in an envelope",
    "iat-31-seconds-ahead": "taken: iat is not compared with the time",
    "key-too-short": "taken: keys of 1024 bits are",
    "duplicate-binding-id": "taken: the last of two names counts",
    "expired-within-the-second": "taken: a fraction of exp counts",
}


def test_binding_passports_are_taken_as_published() -> None:
    path = ROOT / "tests/vectors/bindings.json"
    command = [str(environment("today", *PAIRS["today"])), "-c", VERDICTS, str(path)]
    verdicts = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    cases = json.loads(path.read_text())["cases"]
    assert len(verdicts) == len(cases) > 90
    others = {case["id"] for case in cases if verdicts[case["id"]] != case["expect"].get("claims")}
    # It has no expected_binding_id.
    assert others == {*OTHER_VERDICTS, *(name for name in verdicts if name.startswith("expected-binding-"))}


def test_the_published_sesame_package_gates_and_verifies() -> None:
    python = environment("sesame", "sesame-sdk==0.1.2")
    sandbox = Sandbox("--long-poll", "0.1")
    story = subprocess.run(
        [str(python), "-c", SESAME_STORY],
        env={**os.environ, **sandbox.environment, "CONTROL": sandbox.control_url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    sandbox.close()
    assert (story.stdout, story.stderr, story.returncode) == ("0.1.2\n", "", 0)


def test_the_same_story_with_ours(sandbox: Sandbox) -> None:
    sandbox.control("PUT", "/settings", {"long_poll_seconds": 0.1})
    program = SESAME_STORY.replace('version("sesame-sdk")', '"ours"')
    story = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CONTROL": sandbox.control_url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (story.stdout, story.stderr, story.returncode) == ("ours\n", "", 0)
