"""The published packages themselves, unmodified, against the sandbox: it emulates what they speak."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

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
