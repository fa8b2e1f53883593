"""Tokens for MCP servers, from the sandbox."""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from typing import Any

import httpx
import jwt
import pytest
from conftest import Sandbox

import lime_agents
from lime_agents import LimeAgent, McpAccessToken, OAuthCapabilityError, SyncLimeAgent


def fetches(sandbox: Sandbox) -> int:
    received = sandbox.control("GET", "/received")["received"]
    return sum(entry["route"] == "mcp_token" for entry in received)


def test_a_token_is_the_platforms_and_is_kept(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeAgent() as agent:
            before = time.monotonic()
            token = await agent.get_mcp_access_token("https://Tools.example.com:8443/mcp")
            assert before - 1 < token.issued_at < time.monotonic() + 1
            assert (token.token_type, token.expires_in) == ("Bearer", 300)
            again = await agent.get_mcp_access_token("tools.example.com")
            assert again == token
            other = await agent.get_mcp_access_token("other.example.com")
            assert other != token
            assert fetches(sandbox) == 2
            forced = await agent.get_mcp_access_token("tools.example.com", force_refresh=True)
            assert forced.access_token != token.access_token
            assert await agent.get_mcp_access_token("tools.example.com") == forced
            assert fetches(sandbox) == 3
            claims = jwt.decode(token.access_token, options={"verify_signature": False})
            assert (claims["aud"], claims["domain"]) == ("mcp", "tools.example.com")
            assert claims["sub"] == (await agent.get_profile()).agent_id

    asyncio.run(main())


def test_many_at_once_share_a_fetch(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeAgent() as agent:
            calls = (agent.get_mcp_access_token("tools.example.com") for _ in range(200))
            assert len(set(await asyncio.gather(*calls))) == 1

    asyncio.run(main())
    assert fetches(sandbox) == 1


def test_a_token_near_its_end_is_renewed_by_the_next_call(sandbox: Sandbox) -> None:
    sandbox.control("PUT", "/settings", {"mcp_token_ttl_seconds": 30})
    with SyncLimeAgent() as agent:
        first = agent.get_mcp_access_token("tools.example.com")
        assert agent.get_mcp_access_token("tools.example.com") != first
    with SyncLimeAgent(mcp_token_refresh_skew=0) as agent:
        first = agent.get_mcp_access_token("tools.example.com")
        assert agent.get_mcp_access_token("tools.example.com") == first


@pytest.mark.parametrize("form", ["oauth", "envelope"])
def test_what_the_platform_refuses(sandbox: Sandbox, form: str) -> None:
    sandbox.control("PUT", "/settings", {"mcp_failure_form": form})
    with (
        SyncLimeAgent(agent_token="at_nobody") as stranger,
        pytest.raises(lime_agents.AuthenticationError) as no,
    ):
        stranger.get_mcp_access_token("tools.example.com")
    assert no.value.http_status == 401
    with SyncLimeAgent() as agent:
        agent_id = agent.get_profile().agent_id
        sandbox.control("POST", f"/agents/{agent_id}/revoke-mcp")
        with pytest.raises(lime_agents.ApiError) as denied:
            agent.get_mcp_access_token("tools.example.com")
        assert denied.value.http_status == 403
        if form == "oauth":
            assert type(denied.value) is OAuthCapabilityError
            assert (denied.value.code, denied.value.kind) == ("access_denied", "oauth_capability")
            assert vars(pickle.loads(pickle.dumps(denied.value))) == vars(denied.value)
        sandbox.control("POST", f"/agents/{agent_id}/grant-mcp")
        agent.get_mcp_access_token("tools.example.com")


def test_targets_that_are_no_public_host_names_never_leave(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeAgent() as agent:
            for target in (
                "",
                "127.0.0.1",
                "http://localhost:8000",
                "https://u:p@tools.example.com",
                "a.nip.io",
            ):
                with pytest.raises(ValueError, match="target must"):
                    await agent.get_mcp_access_token(target)
            nothing: Any = None
            for use in (agent.get_mcp_access_token, agent.list_tools):
                with pytest.raises(ValueError, match="non-empty string"):
                    await use(nothing)
            for read in (lime_agents.extract_and_normalize_domain, lime_agents.resolve_mcp_http_url):
                with pytest.raises(ValueError, match="non-empty string"):
                    read(nothing)

    asyncio.run(main())
    assert fetches(sandbox) == 0


def test_nothing_shows_a_token(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with SyncLimeAgent() as agent:
        token = agent.get_mcp_access_token("tools.example.com")
    assert "McpAccessToken(token_type='Bearer', expires_in=300" in repr(token)
    assert token.access_token not in repr(token) + caplog.text
    assert "/modules/oauth/token" in caplog.text


def test_an_injected_client_carries_the_request() -> None:
    body = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 60}

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["x-agent-token"] == "at_mine"
        assert request.content == b'{"domain":"tools.example.com"}'
        return httpx.Response(200, headers={"Cache-Control": "no-store"}, json=body)

    async def main() -> McpAccessToken:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            agent = LimeAgent(
                agent_token="at_mine", base_url="https://lime.example/api/v1", http_client=client
            )
            return await agent.get_mcp_access_token("tools.example.com")

    assert asyncio.run(main()).access_token == "a.b.c"
