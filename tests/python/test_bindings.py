"""An agent is connected with an account: asked for, completed by a person, exchanged once, verified."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from conftest import Sandbox

import lime_agents
import lime_sites
from lime_sdk.testing import SandboxError
from lime_sites import BindingRequestResult, LimeSite, PassportVerificationResult, SyncLimeSite

CALLBACK = "https://shop.example/bind?step=2"


class Awaited:
    """A blocking site as if it were the other one."""

    def __init__(self, site: SyncLimeSite) -> None:
        self._site = site

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **named: Any) -> Any:
            return await asyncio.to_thread(getattr(self._site, name), *args, **named)

        return call


def run(kind: str, story: Callable[[Any], Awaitable[None]], **settings: Any) -> None:
    """Run a story with a site of this kind."""

    async def main() -> None:
        if kind == "blocking":
            with SyncLimeSite(**settings) as blocking:
                await story(Awaited(blocking))
            return
        client = httpx.AsyncClient() if kind == "httpx" else None
        async with LimeSite(http_client=client, **settings) as site:
            await story(site)
        if client is not None:
            await client.aclose()

    asyncio.run(main())


every_kind = pytest.mark.parametrize("kind", ["own-transport", "httpx", "blocking"])


def code_in(url: str) -> str:
    assert url.startswith(f"{CALLBACK}&binding_code=")
    return parse_qs(urlsplit(url).query)["binding_code"][0]


@every_kind
def test_an_agent_is_connected(sandbox: Sandbox, kind: str) -> None:
    async def story(site: Any) -> None:
        request = await site.create_binding_request(redirect_uri=CALLBACK)
        assert type(request) is BindingRequestResult
        assert request.status == "PENDING"
        assert request.connect_url.endswith(f"/connect/?binding_id={request.binding_id}")
        assert request.expires_at > datetime.now(timezone.utc)
        (sent,) = sandbox.received("create_binding")
        assert sent["body"] == '{"redirect_uri":"https://shop.example/bind?step=2"}'

        code = code_in(sandbox.complete_binding(request))
        passport = await site.exchange_binding_code(code)
        for expected in ({}, {"expected_binding_id": request.binding_id}):
            # The second time the key is at hand.
            verified = await site.verify_binding_passport(passport, **expected)
            assert type(verified) is PassportVerificationResult
            assert verified.valid is True
            assert verified.claims["binding_id"] == request.binding_id
            assert verified.claims["agent_id"] == sandbox.control("GET", "/info")["agent_id"]
            assert verified.claims["user_id"]
        with pytest.raises(lime_sites.InvalidPassportError, match="binding_id"):
            await site.verify_binding_passport(passport, expected_binding_id="br_other")
        with pytest.raises(lime_sites.InvalidPassportError, match="audience"):
            await site.verify_passport(passport)
        with pytest.raises(lime_sites.ApiError) as caught:
            await site.exchange_binding_code(code)
        assert (caught.value.code, caught.value.http_status) == ("INVALID_BINDING_CODE", 400)

    run(kind, story)


def test_a_login_is_no_binding(sandbox: Sandbox) -> None:
    async def story(site: Any) -> None:
        request = await site.create_login_request()
        sandbox.approve(request.request_id)
        passport = await site.wait_for_login(request.request_id)
        with pytest.raises(lime_sites.InvalidPassportError, match="audience"):
            await site.verify_binding_passport(passport)

    run("own-transport", story)


@every_kind
def test_what_the_platform_does_not_take(sandbox: Sandbox, kind: str) -> None:
    async def story(site: Any) -> None:
        for uri in ("", "not-a-url", "http://shop.example/", "javascript:alert(1)"):
            with pytest.raises(lime_sites.ApiError) as caught:
                await site.create_binding_request(redirect_uri=uri)
            assert (caught.value.code, caught.value.http_status) == ("VALIDATION_ERROR", 400)
        request = await site.create_binding_request(redirect_uri=CALLBACK)
        sandbox.expire(request)
        with pytest.raises(SandboxError):
            sandbox.complete_binding(request.binding_id)

    run(kind, story)


@every_kind
def test_a_lost_answer_is_no_failure(sandbox: Sandbox, kind: str) -> None:
    async def story(site: Any) -> None:
        request = await site.create_binding_request(redirect_uri=CALLBACK)
        code = code_in(sandbox.complete_binding(request))
        sandbox.fault("exchange_binding", action="drop_after")
        with pytest.raises(lime_sites.OutcomeUnknownError):
            await site.exchange_binding_code(code)

    run(kind, story, max_retries=1)


def test_the_published_calls_are_there(sandbox: Sandbox) -> None:
    for cls in (LimeSite, SyncLimeSite):
        create = inspect.signature(cls.create_binding_request)
        assert [p.kind for p in create.parameters.values()][1:] == [inspect.Parameter.KEYWORD_ONLY]
        verify = inspect.signature(cls.verify_binding_passport)
        assert list(verify.parameters)[:2] == ["self", "jwt"]
        assert all(p.kind is p.KEYWORD_ONLY for p in list(verify.parameters.values())[2:])
    data = {
        "binding_id": "br_1",
        "connect_url": "https://lime.pics/connect/?binding_id=br_1",
        "status": "PENDING",
        "expires_at": "2026-06-10T12:00:00Z",
    }
    result = BindingRequestResult.from_api(data)
    assert pickle.loads(pickle.dumps(result)) == result
    del data["connect_url"]
    with pytest.raises(KeyError):
        BindingRequestResult.from_api(data)


def test_agents_and_tokens_of_today(sandbox: Sandbox) -> None:
    agent_id = sandbox.control("GET", "/info")["agent_id"]
    with lime_agents.SyncLimeAgent(max_retries=0) as agent, SyncLimeSite(max_retries=0) as site:

        def profile() -> tuple[type[Exception], str, int]:
            with pytest.raises(lime_agents.LimeError) as caught:
                agent.get_profile()
            assert pickle.loads(pickle.dumps(caught.value)).__dict__ == caught.value.__dict__
            return type(caught.value), caught.value.code or "", caught.value.http_status or 0

        sandbox.control("POST", f"/agents/{agent_id}/suspend-user")
        assert profile() == (lime_agents.AgentUserSuspendedError, "AGENT_USER_SUSPENDED", 403)
        sandbox.control("POST", f"/agents/{agent_id}/deactivate")
        assert profile() == (lime_agents.AgentInactiveError, "AGENT_INACTIVE", 403)
        sandbox.control("PUT", "/settings", {"auth_unavailable": True})
        assert profile() == (lime_agents.AuthUnavailableError, "AUTH_UNAVAILABLE", 503)
        with pytest.raises(lime_sites.SiteAuthUnavailableError) as caught:
            site.create_login_request()
        assert (caught.value.code, caught.value.http_status) == ("SITE_TOKEN_AUTH_UNAVAILABLE", 503)
    assert issubclass(lime_agents.AgentInactiveError, lime_agents.AuthenticationError)
    assert issubclass(lime_agents.AgentUserSuspendedError, lime_agents.AuthenticationError)
    assert issubclass(lime_agents.AuthUnavailableError, lime_agents.ApiError)
    assert issubclass(lime_sites.SiteAuthUnavailableError, lime_sites.ApiError)


@pytest.mark.parametrize("cls", [LimeSite, SyncLimeSite])
def test_sites_for_platforms_of_other_times(sandbox: Sandbox, cls: Any) -> None:
    """A platform with bare keys, and passports without an issuer."""
    sandbox.control("PUT", "/settings", {"jwks_form": "bare", "issuer": False})

    async def main() -> None:
        async with LimeSite() as asking:
            request = await asking.create_binding_request(redirect_uri=CALLBACK)
            passport = await asking.exchange_binding_code(code_in(sandbox.complete_binding(request)))

        async def takes(**settings: Any) -> bool:
            site = cls(**settings)
            try:
                verified = site.verify_binding_passport(passport)
                if inspect.isawaitable(verified):
                    await verified
            except lime_sites.InvalidPassportError:
                return False
            finally:
                closed = site.aclose() if cls is LimeSite else site.close()
                if closed is not None:
                    await closed
            return True

        assert await takes()
        assert not await takes(require_issuer=True)
        assert not await takes(jwks_form="envelope")
        assert not await takes(platform="seed")
        assert await takes(platform="seed", jwks_form="bare")
        assert not await takes(platform="today")
        assert await takes(platform="today", require_issuer=False)
        for wrong in ({"platform": "both"}, {"jwks_form": "both"}, {"post_retry": "never"}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                cls(**wrong)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("settings", "create", "login"),
    [
        ({}, 1, 2),
        ({"platform": "seed"}, 2, 2),
        ({"platform": "today"}, 1, 1),
        ({"platform": "today", "post_retry": "seed"}, 2, 2),
        ({"post_retry": "auto"}, 1, 2),
    ],
)
def test_which_posts_are_repeated(
    sandbox: Sandbox, settings: dict[str, Any], create: int, login: int
) -> None:
    sandbox.fault("create_binding", status=500, count=0)
    sandbox.fault("create_request", status=500, count=0)
    with SyncLimeSite(max_retries=1, **settings) as site:
        with pytest.raises(lime_sites.ApiError):
            site.create_binding_request(redirect_uri=CALLBACK)
        with pytest.raises(lime_sites.ApiError):
            site.create_login_request()
    assert len(sandbox.received("create_binding")) == create
    assert len(sandbox.received("create_request")) == login


def test_agents_for_platforms_of_other_times(sandbox: Sandbox) -> None:
    # Difficult enough that the solution of one digest is not by chance one of the other.
    sandbox.control("PUT", "/settings", {"platform": "today", "pow_difficulty": 22})
    with SyncLimeSite() as site:
        request = site.create_login_request()
    for settings in ({"platform": "seed"}, {"platform": "today", "pow_digest": "seed"}):
        with (
            lime_agents.SyncLimeAgent(**settings) as agent,
            pytest.raises(lime_agents.ApiError, match="proof"),
        ):
            agent.login(request.request_id)
    with lime_agents.SyncLimeAgent(platform="today") as agent:
        assert agent.login(request.request_id).status == "APPROVED"
        profile = agent.get_profile()
        assert profile.user_id == profile.owner_id
        assert (profile.owner_kyc_level, profile.agent_reputation) == (None, None)
    with pytest.raises(ValueError, match="platform"):
        lime_agents.SyncLimeAgent(platform="both")  # type: ignore[arg-type]
