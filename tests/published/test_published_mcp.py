"""lime-agents-sdk 3.0.2, unmodified: its verdicts on targets, and its MCP side against the sandbox and a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from conftest import ROOT, Sandbox
from mcp_server import McpServer
from test_published import PAIRS
from test_surface import dump
from throwaway import environment

VECTORS = ROOT / "tests/vectors/mcp_targets.json"
# It takes digits of any alphabet for a port, overlooks a line feed at the end of a name, and has `0x` for a name, which
# to who reads URLs is 0.0.0.0.
LENIENT = {
    "port-in-other-digits",
    "line-feed-before-the-port",
    "hexadecimal-without-digits",
    "hexadecimal-without-digits-in-a-url",
    "hexadecimal-without-digits-beside-a-number",
}

VERDICTS = textwrap.dedent(
    """
    import json, sys
    from lime_agents import extract_and_normalize_domain, resolve_mcp_http_url

    verdicts = {}
    for case in json.load(open(sys.argv[1]))["cases"]:
        try:
            domain, url = extract_and_normalize_domain(case["target"]), resolve_mcp_http_url(case["target"])
            verdicts[case["id"]] = {"domain": domain, "url": url}
        except ValueError as error:
            verdicts[case["id"]] = {"error": "invalid_argument", "message": str(error)}
    json.dump(verdicts, sys.stdout)
    """
)

# Tokens are for public names; this program's name system knows where this one is.
STORY = textwrap.dedent(
    """
    import asyncio, json, os, socket, sys
    from importlib.metadata import version

    url, local = sys.argv[1], sys.argv[2]
    look_up = socket.getaddrinfo
    def getaddrinfo(host, *args, **kwargs):
        known = host in (local, local.encode())
        return look_up("127.0.0.1" if known else host, *args, **kwargs)
    socket.getaddrinfo = getaddrinfo

    from lime_agents import LimeAgent

    async def main():
        said = {}
        ours = {} if version_of("lime-agents-sdk") == "3.0.2" else {"mcp_addresses": {local: "127.0.0.1"}}
        async with LimeAgent(**ours) as agent:
            token = await agent.get_mcp_access_token(url)
            assert token == await agent.get_mcp_access_token(local)
            assert token != await agent.get_mcp_access_token(local, force_refresh=True)
            said["token"] = [token.token_type, token.expires_in, token.access_token.count(".")]
            said["tools"] = [tool.name for tool in await agent.list_tools(url)]
            profile = await agent.get_profile()
            result = await agent.call_tool(url, "who", {"greeting": "hello"})
            assert result.content[0].text == "hello " + profile.agent_id
            for name, arguments in (("echo", {"text": "ü"}), ("add", {"a": 1, "b": 2}), ("fail", None), ("nobody", {})):
                said[name] = (await agent.call_tool(url, name, arguments)).model_dump(mode="json")
            said["resources"] = [each.model_dump(mode="json") for each in await agent.list_resources(url)]
            said["templates"] = [each.model_dump(mode="json") for each in await agent.list_resource_templates(url)]
            said["prompts"] = [each.model_dump(mode="json") for each in await agent.list_prompts(url)]
            said["resource"] = (await agent.read_resource(url, "note://today")).model_dump(mode="json")
            said["prompt"] = (await agent.get_prompt(url, "greet", {"name": "Ada"})).model_dump(mode="json")
            said["capabilities"] = (await agent.get_server_capabilities(url)).model_dump(mode="json")
            said["none"] = [
                await agent.send_ping(url),
                await agent.set_logging_level(url, "warning"),
                await agent.send_progress_notification(url, "token", 0.5, 1.0),
            ]
            async with agent.mcp_session(url) as session:
                said["session"] = (await session.call_tool("echo", {"text": "s"})).model_dump(mode="json")
            try:
                await agent.read_resource(url, "none://there")
            except Exception as error:
                import mcp
                assert isinstance(error, mcp.McpError), error
                said["refused"] = [error.error.code, error.error.message]
        print(json.dumps(said, sort_keys=True))

    def version_of(name):
        from importlib.metadata import PackageNotFoundError
        try:
            return version(name)
        except PackageNotFoundError:
            return "ours"

    asyncio.run(main())
    """
)

REVOKED = textwrap.dedent(
    """
    import asyncio
    from lime_agents import LimeAgent, OAuthCapabilityError

    async def main():
        async with LimeAgent() as agent:
            try:
                await agent.get_mcp_access_token("tools.example.com")
            except OAuthCapabilityError as error:
                print(error.code, error.http_status, error.message)

    asyncio.run(main())
    """
)


def published() -> Path:
    return environment("today", *PAIRS["today"])


def run(python: Path | str, program: str, sandbox: Sandbox, *arguments: str) -> str:
    done = subprocess.run(
        [str(python), "-c", program, *arguments],
        env={**os.environ, **sandbox.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_vectors_are_the_published_packages_verdicts() -> None:
    done = subprocess.run(
        [str(published()), "-c", VERDICTS, str(VECTORS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    verdicts = json.loads(done.stdout)
    differing = set()
    cases = json.loads(VECTORS.read_text())["cases"]
    for case in cases:
        verdict, expect = verdicts[case["id"]], dict(case["expect"])
        contains = expect.pop("message_contains", "")
        message = verdict.pop("message", "")
        if verdict != expect or contains not in message:
            differing.add(case["id"])
    assert differing == LENIENT
    assert len(cases) > 150


def test_the_published_package_calls_a_real_server_and_ours_gets_the_same(sandbox: Sandbox) -> None:
    outcomes: list[dict[str, Any]] = []
    for python in (published(), sys.executable):
        with McpServer() as server:
            outcomes.append(json.loads(run(python, STORY, sandbox, server.url, server.hostname)))
            assert {entry["status"] for entry in server.asked() if entry["http"] == "POST"} == {200, 202}
    theirs, ours = outcomes
    assert len(theirs) == 15
    assert ours == theirs


def test_an_agent_without_the_grant(sandbox: Sandbox) -> None:
    (agent,) = sandbox.control("GET", "/agents")["agents"]
    sandbox.control("POST", f"/agents/{agent['agent_id']}/revoke-mcp")
    theirs, ours = (run(python, REVOKED, sandbox) for python in (published(), sys.executable))
    assert theirs == ours
    assert theirs.startswith("access_denied 403 ")


def parameters(signature: list[list[str]]) -> dict[str, list[str]]:
    """By name: the order of what is keyword-only means nothing."""
    return {name: rest for name, *rest in signature}


def test_the_surface_of_today_is_all_there() -> None:
    theirs, ours = (
        dump(python, "surface.py", "lime_agents")["lime_agents"] for python in (published(), sys.executable)
    )
    bindings = {"AgentInactiveError", "AgentUserSuspendedError", "AuthUnavailableError"}
    assert set(theirs) - set(ours) - bindings == set()
    for name in ("LimeAgent", "McpAccessToken", "extract_and_normalize_domain", "resolve_mcp_http_url"):
        there, here = theirs[name], ours[name]
        assert parameters(there["signature"]).items() <= parameters(here["signature"]).items(), name
        for member, described in there.get("members", {}).items():
            also = here["members"][member]
            assert described["is"] == also["is"], member
            if described.get("signature"):
                assert parameters(described["signature"]).items() <= parameters(also["signature"]).items(), (
                    member
                )
                assert described["async"] == also["async"], member
    fields = theirs["McpAccessToken"]["dataclass"]["fields"]
    assert [field[:2] for field in ours["McpAccessToken"]["dataclass"]["fields"]] == [
        field[:2] for field in fields
    ]
