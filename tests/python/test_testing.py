"""What users test their own code with: `LimeSandbox` by itself, and the pytest plugin."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from lime_agents import ApiError
from lime_sdk.testing import LimeSandbox, SandboxError, find_binary
from sesame_sdk import ApprovalDenied, require_approval, verify_webhook

pytest_plugins = ["pytester"]

PLUGIN = "lime_sdk.testing.plugin"
BINARY = find_binary()


@pytest.fixture(scope="module")
def shared() -> Any:
    with LimeSandbox() as running:
        yield running


@pytest.fixture
def running(shared: LimeSandbox) -> LimeSandbox:
    shared.reset()
    return shared


# ── without pytest ────────────────────────────────────────────────────────────────────────────────


def test_it_starts_says_where_it_is_and_ends() -> None:
    with LimeSandbox() as sandbox:
        assert sandbox.running
        assert sandbox.control("GET", "/health")["ok"] is True
        assert set(sandbox.environment) == {
            *("LIME_API_BASE", "LIME_BASE_URL", "LIME_SITE_TOKEN", "LIME_AGENT_TOKEN"),
            *("SESAME_BROKER_URL", "SESAME_API_KEY", "SESAME_WEBHOOK_SECRET"),
        }
        assert sandbox.settings()["pow_difficulty"] == 8
    assert not sandbox.running
    with pytest.raises(SandboxError, match="no sandbox answers"):
        sandbox.reset()
    sandbox.close()  # a second time does nothing


def test_it_ends_with_a_program_that_forgets_it() -> None:
    program = "from lime_sdk.testing import LimeSandbox\nprint(LimeSandbox().control_url, flush=True)"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LIME_SANDBOX_BINARY": find_binary()},
    )
    assert ended.stderr == ""
    url = ended.stdout.strip()

    def gone() -> bool:
        try:
            LimeSandbox.connect(url)
        except SandboxError:
            return True
        return False

    waiter = threading.Event()
    while not gone():  # it may still be on its way
        waiter.wait(0.01)


def test_a_forked_child_does_not_end_it(running: LimeSandbox) -> None:
    child = os.fork()
    if child == 0:
        running.close()  # as the fixtures of a child that leaves by an exception do
        os._exit(0)
    os.waitpid(child, 0)
    running.reset()


def test_a_login_from_both_sides(running: LimeSandbox) -> None:
    async def main() -> None:
        async with running.site() as site, running.agent() as agent:
            request = await site.create_login_request()
            await agent.login(request.request_id)
            passport = await site.wait_for_login(request.request_id)
            assert passport is not None
            await site.verify_passport(passport)

            by_hand = await site.create_login_request()
            running.approve_login(by_hand)
            assert await site.wait_for_login(by_hand.request_id) is not None

            for expire in (running.expire, lambda _: running.advance(301)):
                expired = await site.create_login_request()
                expire(expired)
                assert await site.wait_for_login(expired.request_id) is None
        assert [entry["status"] for entry in running.received("approve")] == [200]
        assert len(running.received("create_request", at_least=4)) == 4

    asyncio.run(main())


def test_approvals_are_decided_by_rule_by_hand_and_by_time(running: LimeSandbox) -> None:
    with running.sesame() as client:
        with running.auto_approve("payments.*", note="Fine"):
            approval = client.approvals.trigger("payments.refund", "Refund").wait(timeout=30)
            assert (approval.status, approval.note) == ("approved", "Fine")
            assert client.approvals.trigger("db.delete", "Delete").status == "pending"
        with running.deny("payments.*"):
            assert client.approvals.trigger("payments.refund", "Refund").wait(timeout=30).status == "denied"
        # Both rules are gone with their blocks.
        waiting = client.approvals.trigger("payments.refund", "Refund")
        assert client.approvals.get(waiting.approval_id).status == "pending"
        running.decide(waiting, "denied", note="No")
        assert waiting.wait(timeout=30).note == "No"
        with pytest.raises(SandboxError, match="POST /approvals") as refused:
            running.decide(waiting)
        assert refused.value.http_status == 409

        late = client.approvals.trigger("a", "b")
        running.expire(late.approval_id)
        assert late.wait(timeout=30).status == "expired"
    assert [entry["status"] for entry in running.approvals()] == [
        *("approved", "pending", "denied", "denied", "expired")
    ]
    with pytest.raises(TimeoutError, match="fewer approvals"):
        running.approvals("approved", at_least=2, timeout=0.01)


def test_a_gate_is_decided_by_a_test_that_waits_for_it(running: LimeSandbox) -> None:
    @require_approval("db.delete", summary="Delete")
    def delete() -> str:
        return "deleted"

    done: list[str] = []
    with running.in_environment():
        caller = threading.Thread(target=lambda: done.append(delete()))
        caller.start()
        (asked,) = running.approvals("pending", at_least=1)
        assert done == []
        running.decide(asked["approval_id"])
        caller.join(30)
        with running.deny(), pytest.raises(ApprovalDenied):
            delete()
    assert done == ["deleted"]


def test_the_environment_is_put_back(running: LimeSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIME_SITE_TOKEN", "st_before")
    monkeypatch.delenv("SESAME_API_KEY", raising=False)
    with running.in_environment():
        assert os.environ["LIME_SITE_TOKEN"] == running.site_token
        assert os.environ["SESAME_API_KEY"] == running.sesame_api_key
    assert os.environ["LIME_SITE_TOKEN"] == "st_before"
    assert "SESAME_API_KEY" not in os.environ


def test_faults_apply_until_they_are_removed(running: LimeSandbox) -> None:
    async def main() -> None:
        async with running.agent(max_retries=0) as agent:
            with running.fault("profile", status=503, count=0):
                for _ in range(2):
                    with pytest.raises(ApiError):
                        await agent.get_profile()
            await agent.get_profile()
            once = running.fault("profile", status=500)
            with pytest.raises(ApiError):
                await agent.get_profile()
            once.remove()
            once.remove()  # it is gone, and stays so

    asyncio.run(main())
    assert [entry["status"] for entry in running.received("profile")] == [503, 503, 200, 500]


def test_webhooks_are_seen_and_signed(running: LimeSandbox) -> None:
    running.settings(webhook_retry_seconds=[])
    with running.sesame() as client, running.auto_approve():
        # Nobody listens there: what is tested is what the broker sends.
        approval = client.approvals.trigger("a", "b", callback_url="http://127.0.0.1:9/hook")
        (sent,) = running.webhooks(approval, at_least=1)
    assert sent["delivered"] is False
    headers = {"X-Sesame-Signature": sent["signature"], "X-Sesame-Timestamp": str(sent["timestamp"])}
    told = verify_webhook(headers, sent["body"].encode(), running.webhook_secret)
    assert told["approval_id"] == approval.approval_id


def test_a_reset_forgets_all_but_addresses_and_tokens(running: LimeSandbox) -> None:
    before = running.environment
    with running.sesame() as client:
        running.auto_approve()
        running.settings(pow_difficulty=20)
        client.approvals.trigger("a", "b")
        running.reset()
        assert (running.approvals(), running.received(), running.webhooks()) == ([], [], [])
        assert running.settings()["pow_difficulty"] == 8
        approval = client.approvals.trigger("a", "b")
        assert client.approvals.get(approval.approval_id).status == "pending"
    assert running.control("GET", "/info")["site_token"] == before["LIME_SITE_TOKEN"]


def test_streams_are_waited_for_cut_and_keys_rotated(running: LimeSandbox) -> None:
    async def main() -> None:
        async with running.site(sse_backoff_base=0.01) as site, running.agent() as agent:
            await asyncio.to_thread(running.wait_for_streams)
            running.disconnect(abort=True)
            running.rotate_keys()
            request = await site.create_login_request()
            await agent.login(request.request_id)
            passport = await site.wait_for_login(request.request_id)
            assert passport is not None
            await site.verify_passport(passport)

    asyncio.run(main())
    assert len(running.received("events")) >= 2
    with pytest.raises(TimeoutError):
        running.wait_for_streams(2, timeout=0.01)


# ── only a sandbox ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "https://getsesame.dev/_sandbox",
        "http://getsesame.dev/_sandbox",
        "http://localhost.example.com:80/_sandbox",
        "https://127.0.0.1:1/_sandbox",
        "",
    ],
)
def test_it_connects_to_nothing_but_a_sandbox(url: str) -> None:
    with pytest.raises(SandboxError, match="not a sandbox"):
        LimeSandbox.connect(url)


def test_it_connects_to_one_that_runs_and_leaves_it_running(running: LimeSandbox) -> None:
    with LimeSandbox.connect(running.control_url) as other:
        assert other.environment == running.environment
        with pytest.raises(SandboxError, match="somebody else's"):
            other.kill()
    running.reset()


def test_nothing_is_decided_for_what_took_the_place_of_a_sandbox() -> None:
    first = LimeSandbox()
    first.kill()
    with LimeSandbox(port=int(first.sesame_url.rsplit(":", 1)[1])) as second:
        for decide in (
            first.auto_approve,
            first.deny,
            lambda: first.decide("x"),
            lambda: first.approve_login("x"),
        ):
            with pytest.raises(SandboxError, match="not this sandbox any more"):
                decide()
        assert second.control("GET", "/rules") == {"rules": []}


def test_a_block_takes_away_its_own_rule_and_no_other(running: LimeSandbox) -> None:
    """Also when a reset came between, which has taken its own away."""
    with running.auto_approve("a.*"), running.fault("jwks", status=500, count=0):
        running.reset()
        running.deny("*")
        running.fault("approve", status=503, count=0)
    (rule,) = running.control("GET", "/rules")["rules"]
    (fault,) = running.control("GET", "/faults")["faults"]
    assert (rule["rule"]["action"], rule["rule"]["decision"]) == ("*", "denied")
    assert fault["fault"]["route"] == "approve"


def test_nothing_is_decided_while_the_environment_names_real_people(
    running: LimeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESAME_BROKER_URL", "https://getsesame.dev")
    with pytest.raises(SandboxError, match=r"SESAME_BROKER_URL is https://getsesame\.dev") as refused:
        running.auto_approve()
    # Without it a client asks that very broker.
    assert "unset" not in str(refused.value)
    assert running.control("GET", "/rules") == {"rules": []}
    with running.in_environment(), running.auto_approve():
        assert len(running.control("GET", "/rules")["rules"]) == 1


@pytest.mark.parametrize("url", [None, "", " "])
def test_nothing_is_decided_while_the_environment_has_a_key_for_real_people(
    running: LimeSandbox, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    """Without a URL a client asks the broker that everybody uses."""
    monkeypatch.delenv("SESAME_BROKER_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("SESAME_BROKER_URL", url)
    monkeypatch.setenv("SESAME_API_KEY", "sk_live_of_somebody")
    for decide in (running.auto_approve, running.deny, lambda: running.decide("ap_1")):
        with pytest.raises(SandboxError, match="SESAME_BROKER_URL is not set") as refused:
            decide()
        assert "in_environment" in str(refused.value)
        assert "unset" not in str(refused.value)
        assert "sk_live" not in str(refused.value)
    assert running.control("GET", "/rules") == {"rules": []}
    for key in (running.sesame_api_key, "", None):
        monkeypatch.setenv("SESAME_API_KEY", key or "")
        if key is None:
            monkeypatch.delenv("SESAME_API_KEY")
        running.auto_approve()
    with running.in_environment():
        running.deny()
    assert len(running.control("GET", "/rules")["rules"]) == 4


# ── the binary ────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_sandbox_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "lime_sandbox", None)  # as if its wheel were not installed
    monkeypatch.delenv("LIME_SANDBOX_BINARY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"pip install 'lime-sdk\[testing\]'"):
        LimeSandbox()
    program = tmp_path / "lime-sandbox"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_binary() == str(program)


def test_what_is_no_sandbox_is_reported_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIME_SANDBOX_BINARY", str(tmp_path / "nothing"))
    with pytest.raises(SandboxError, match="nothing, which is no program"):
        LimeSandbox()
    with pytest.raises(SandboxError, match=r"did not start: .*real"):
        LimeSandbox(site_token="st_live_123", binary=BINARY)
    with pytest.raises(SandboxError, match="did not start: it said nothing"):
        LimeSandbox(binary="/bin/true")
    with pytest.raises(SandboxError, match="cannot be started"):
        LimeSandbox(binary=tmp_path)


# ── the plugin ────────────────────────────────────────────────────────────────────────────────────


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the made-up test files in a pytest of their own."""
    try:
        installed = any(entry.group == "pytest11" for entry in distribution("lime-sdk").entry_points)
    except PackageNotFoundError:
        installed = False
    # A wheel brings the plugin by its entry point; from the source tree it has to be named.
    plugin = () if installed else ("-p", PLUGIN)
    return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", *plugin, *arguments, timeout=120)


def test_fixtures_without_an_asynchronous_runner(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio, os
        import pytest
        from sesame_sdk import ApprovalDenied, require_approval

        def test_login(site, agent, lime_sandbox):
            async def main():
                async with site() as client:
                    request = await client.create_login_request()
                    await agent.login(request.request_id)
                    assert await client.wait_for_login(request.request_id)
            asyncio.run(main())
            assert len(lime_sandbox.received("approve")) == 1

        def test_approval(sesame, lime_sandbox):
            assert lime_sandbox.received() == [], "the test before has left nothing"
            with lime_sandbox.auto_approve():
                assert sesame.approvals.trigger("a", "b").wait(timeout=30).approved

        @require_approval("db.delete", summary="Delete")
        def delete(): return "deleted"

        def test_gate_approved(lime_sandbox):
            with lime_sandbox.auto_approve():
                assert delete() == "deleted"

        def test_gate_denied(lime_sandbox):
            with lime_sandbox.deny(), pytest.raises(ApprovalDenied):
                delete()

        @pytest.mark.lime_sandbox(pow_difficulty=3)
        class TestMarked:
            @pytest.mark.lime_sandbox(request_ttl_seconds=7)
            def test_both(self, lime_sandbox):
                found = lime_sandbox.settings()
                assert (found["pow_difficulty"], found["request_ttl_seconds"]) == (3, 7)

            @pytest.mark.lime_sandbox(pow_difficulty=4)
            def test_the_nearest_counts(self, lime_sandbox):
                assert lime_sandbox.settings()["pow_difficulty"] == 4

        def test_not_marked(lime_sandbox):
            assert lime_sandbox.settings()["pow_difficulty"] == 8

        def test_environment(lime_sandbox, lime_sandbox_environment):
            assert lime_sandbox_environment == lime_sandbox.environment
            assert os.environ["LIME_SITE_TOKEN"] == lime_sandbox.site_token

        def test_killed(lime_sandbox):
            lime_sandbox.kill()

        def test_after_it_was_killed(lime_sandbox, lime_sandbox_environment, sesame):
            assert lime_sandbox.environment == lime_sandbox_environment
            sesame.approvals.trigger("a", "b")

        def test_environment_is_put_back():
            assert "LIME_SITE_TOKEN" not in os.environ
        """
    )
    result = run(pytester, "-W", "error", "-p", "no:asyncio", "-p", "no:anyio", "--strict-markers")
    result.assert_outcomes(passed=11)


@pytest.mark.parametrize(
    ("runner", "arguments"),
    [
        ("asyncio", ["-p", "no:anyio", "-o", "asyncio_default_fixture_loop_scope=function"]),
        ("anyio", ["-p", "no:asyncio"]),
    ],
)
def test_fixtures_with_an_asynchronous_runner(
    pytester: pytest.Pytester, runner: str, arguments: list[str]
) -> None:
    pytester.makepyfile(
        f"""
        import pytest
        pytestmark = pytest.mark.{runner}

        @pytest.fixture
        def anyio_backend(): return "asyncio"

        async def test_login(site, agent, lime_sandbox):
            async with site() as client:
                request = await client.create_login_request()
                await agent.login(request.request_id)
                assert await client.wait_for_login(request.request_id)

        async def test_once_more(site, agent):
            async with site() as client, agent:
                request = await client.create_login_request()
                await agent.login(request.request_id)

        async def test_approval(lime_sandbox):
            async with lime_sandbox.async_sesame() as client:
                approval = await client.approvals.trigger("a", "b")
                lime_sandbox.decide(approval)
                assert (await approval.wait(timeout=30)).approved
        """
    )
    run(pytester, "-W", "error", *arguments).assert_outcomes(passed=3)


def test_the_readme_s_tests_pass(pytester: pytest.Pytester) -> None:
    readme = (ROOT / "bindings-python/README.md").read_text()
    section = readme.split("## Testing your own code")[1]
    code = """
        from sesame_sdk import require_approval

        @require_approval("payments.refund", summary="Refund")
        def issue_refund(amount, customer_id):
            return "refunded"
    """
    pytester.makepyfile(textwrap.dedent(code) + section.split("```python\n")[1].split("```")[0])
    options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    run(pytester, "-p", "no:anyio", *options).assert_outcomes(passed=5)


def test_the_plugin_costs_other_tests_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        import pytest

        @pytest.fixture
        def site(): return "mine"

        def test_nothing_is_loaded():
            loaded = {"lime_sdk._native", "lime_sdk.testing._sandbox", "lime_sites", "sesame_sdk", "httpx"}
            assert not loaded & set(sys.modules)

        def test_my_own_fixture_wins(site):
            assert site == "mine"
        """
    )
    run(pytester, "-p", "no:anyio").assert_outcomes(passed=2)


def test_the_class_needs_no_pytest() -> None:
    program = (
        "import sys, lime_sdk.testing\n"
        "with lime_sdk.testing.LimeSandbox() as sandbox: sandbox.reset()\n"
        "assert 'pytest' not in sys.modules"
    )
    environment = {**os.environ, "LIME_SANDBOX_BINARY": BINARY}
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, env=environment, capture_output=True)
    assert (ended.stderr, ended.returncode) == (b"", 0)
