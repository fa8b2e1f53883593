"""Calls of an MCP server – the official Python SDK's – with tokens that it verifies with the sandbox's keys."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta

import mcp
import mcp.types
import pytest
from conftest import ROOT, Sandbox
from mcp_server import McpServer

import lime_agents
from lime_agents import LimeAgent, McpAuthenticationError, McpError, SyncLimeAgent

MODES = [(), ("--json",), ("--stateless",), ("--stateless", "--json")]


@pytest.fixture(params=MODES, ids=lambda options: "".join(options) or "stream")
def server(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[McpServer]:
    with McpServer(*request.param) as running:
        yield running


@pytest.fixture
def one_server(sandbox: Sandbox) -> Iterator[McpServer]:
    with McpServer() as running:
        yield running


def addresses(server: McpServer) -> dict[str, str]:
    return {server.hostname: "127.0.0.1"}


def test_every_call(server: McpServer) -> None:
    async def main() -> None:
        async with LimeAgent(mcp_addresses=addresses(server)) as agent:
            url = server.url
            tools = await agent.list_tools(url)
            assert {tool.name for tool in tools} >= {"echo", "add", "fail"}
            assert all(type(tool) is mcp.types.Tool for tool in tools)
            assert type(tools) is list

            result = await agent.call_tool(url, "echo", {"text": "grüße 🍋"})
            assert type(result) is mcp.types.CallToolResult
            assert not result.isError
            assert result.content == [mcp.types.TextContent(type="text", text="grüße 🍋")]
            assert (await agent.call_tool(url, "add", {"a": 2, "b": 3})).structuredContent == {"sum": 5}
            failed = await agent.call_tool(url, "fail")
            assert failed.isError
            assert "it went wrong" in str(failed.content)

            assert [str(each.uri) for each in await agent.list_resources(url)] == ["note://today"]
            (template,) = await agent.list_resource_templates(url)
            assert template.uriTemplate == "note://{name}"
            (contents,) = (await agent.read_resource(url, "note://mine")).contents
            assert isinstance(contents, mcp.types.TextResourceContents)
            assert contents.text == "the note mine"

            (prompt,) = await agent.list_prompts(url)
            assert (prompt.name, [each.name for each in prompt.arguments or []]) == ("greet", ["name"])
            filled = await agent.get_prompt(url, "greet", {"name": "Ada"})
            assert filled.messages[0].content == mcp.types.TextContent(type="text", text="Greet Ada")

            capabilities = await agent.get_server_capabilities(url)
            assert type(capabilities) is mcp.types.ServerCapabilities
            assert capabilities.tools is not None
            # They give nothing.
            await agent.send_ping(url)
            await agent.set_logging_level(url, "warning")
            await agent.send_progress_notification(url, "token", 1.0, 2.0)

    asyncio.run(main())
    methods = server.methods()
    assert methods.count("initialize") == 1, "one session for all"
    assert methods[-3:] == ["ping", "logging/setLevel", "notifications/progress"]
    assert {entry["status"] for entry in server.asked() if entry["http"] == "POST"} == {200, 202}


def test_the_same_without_a_loop(server: McpServer) -> None:
    with SyncLimeAgent(mcp_addresses=addresses(server)) as agent:
        url = server.url
        assert "echo" in [tool.name for tool in agent.list_tools(url)]
        profile = agent.get_profile()
        result = agent.call_tool(url, "who", {"greeting": "hello"})
        assert result.content[0].text == f"hello {profile.agent_id}"  # type: ignore[union-attr]
        assert [each.name for each in agent.list_resources(url)] == ["today"]
        assert len(agent.list_resource_templates(url)) == len(agent.list_prompts(url)) == 1
        assert agent.read_resource(url, "note://today").contents[0].text == "a note"  # type: ignore[union-attr]
        assert len(agent.get_prompt(url, "greet", {"name": "Ada"}).messages) == 1
        assert agent.get_server_capabilities(url).prompts is not None
        agent.send_ping(url)
        agent.set_logging_level(url, "error")
        agent.send_progress_notification(url, "token", 0.5)
    assert server.methods().count("initialize") == 1


def test_the_environment_names_addresses(one_server: McpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIME_MCP_ADDRESSES", f"{one_server.hostname}=127.0.0.1, other.example=::1")
    with SyncLimeAgent() as agent:
        agent.send_ping(one_server.url)
    for wrong in ("tools.example.com", "tools.example.com=localhost", "localhost=127.0.0.1"):
        monkeypatch.setenv("LIME_MCP_ADDRESSES", wrong)
        with pytest.raises(ValueError, match=r"address|target"):
            SyncLimeAgent()
    with pytest.raises(ValueError, match="does not appear to be"):
        SyncLimeAgent(mcp_addresses={"tools.example.com": "localhost"})


def test_a_refused_token_is_replaced_once(one_server: McpServer) -> None:
    with SyncLimeAgent(mcp_addresses=addresses(one_server)) as agent:
        agent.send_ping(one_server.url)
        one_server.tell(clear=True, refuse=1)
        agent.call_tool(one_server.url, "echo", {"text": "a"})
        refused, taken = one_server.asked()
        assert (refused["status"], taken["status"]) == (401, 200)
        assert refused["token"] != taken["token"]
        assert refused["session"] == taken["session"] is not None
        one_server.tell(clear=True, refuse=2)
        with pytest.raises(McpAuthenticationError) as error:
            agent.call_tool(one_server.url, "echo", {"text": "a"})
        assert (error.value.code, error.value.http_status) == ("MCP_AUTH_FAILED", 401)
        agent.send_ping(one_server.url)


def test_a_token_for_another_server_is_refused_by_this_one(sandbox: Sandbox) -> None:
    """The server checks; it is not only the client that is careful."""
    with (
        McpServer(hostname="other.example.com") as server,
        SyncLimeAgent(mcp_addresses={"tools.example.com": "127.0.0.1"}) as agent,
    ):
        with pytest.raises(McpAuthenticationError):
            agent.send_ping(f"http://tools.example.com:{server.port}/mcp")
        assert [entry["status"] for entry in server.asked()] == [401, 401]


def test_a_session_that_is_lost_begins_anew(one_server: McpServer) -> None:
    with SyncLimeAgent(mcp_addresses=addresses(one_server)) as agent:
        agent.send_ping(one_server.url)
        one_server.tell(clear=True, forget=True)
        assert not agent.call_tool(one_server.url, "echo", {"text": "a"}).isError
        assert one_server.methods() == ["tools/call", "initialize", "notifications/initialized", "tools/call"]


def test_sessions_end_with_the_client(one_server: McpServer) -> None:
    with SyncLimeAgent(mcp_addresses=addresses(one_server)) as agent:
        agent.send_ping(one_server.url)
    # Nobody waits for the server to hear it, but this test.
    deadline = 300
    while not any(entry["http"] == "DELETE" for entry in one_server.asked()) and deadline:
        deadline -= 1
    assert one_server.asked()[-1]["http"] == "DELETE"


def test_what_a_server_reports(one_server: McpServer) -> None:
    async def main() -> None:
        async with LimeAgent(mcp_addresses=addresses(one_server)) as agent:
            with pytest.raises(McpError, match="Unknown resource") as error:
                await agent.read_resource(one_server.url, "none://there")
            assert isinstance(error.value, mcp.McpError)
            assert isinstance(error.value, lime_agents.LimeError)
            assert error.value.error.code == int(error.value.code or -1)
            assert error.value.error.message == error.value.message == str(error.value)
            again = pickle.loads(pickle.dumps(error.value))
            assert (type(again), str(again), again.code) == (
                type(error.value),
                str(error.value),
                error.value.code,
            )
            one_server.tell(status=[503, 1])
            with pytest.raises(McpError, match="HTTP 503") as error:
                await agent.send_ping(one_server.url)
            assert (error.value.code, error.value.http_status) == ("HTTP_503", 503)

    asyncio.run(main())


def test_a_call_that_is_given_up_is_cancelled_there(one_server: McpServer) -> None:
    async def main() -> None:
        async with LimeAgent(mcp_addresses=addresses(one_server)) as agent:
            call = asyncio.ensure_future(agent.call_tool(one_server.url, "forever"))
            while "tools/call" not in await asyncio.to_thread(one_server.methods):
                assert not call.done()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            while "notifications/cancelled" not in await asyncio.to_thread(one_server.methods):
                pass
            # The turn is free again.
            await agent.send_ping(one_server.url)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_one_after_the_other_or_at_once(one_server: McpServer) -> None:
    async def main(serialize: bool) -> None:
        options = {"mcp_addresses": addresses(one_server), "serialize_mcp_per_url": serialize}
        async with LimeAgent(**options) as agent:  # type: ignore[arg-type]
            texts = [str(number) for number in range(50)]
            results = await asyncio.gather(
                *(agent.call_tool(one_server.url, "echo", {"text": text}) for text in texts)
            )
            assert [result.content[0].text for result in results] == texts  # type: ignore[union-attr]

    asyncio.run(main(True))
    asyncio.run(main(False))
    assert one_server.methods().count("initialize") == 2


def test_a_large_answer(server: McpServer) -> None:
    with SyncLimeAgent(mcp_addresses=addresses(server)) as agent:
        result = agent.call_tool(server.url, "large", {"size": 3_000_000})
        assert len(result.content[0].text) == 3_000_000  # type: ignore[union-attr]


def test_what_a_tool_tells_on_the_way_is_passed_over(server: McpServer) -> None:
    with SyncLimeAgent(mcp_addresses=addresses(server)) as agent:
        assert agent.call_tool(server.url, "steps").content[0].text == "done"  # type: ignore[union-attr]


def test_arguments_that_json_cannot_hold(one_server: McpServer) -> None:
    with SyncLimeAgent(mcp_addresses=addresses(one_server)) as agent:
        for wrong in (float("nan"), {1, 2}, b"bytes"):
            with pytest.raises((ValueError, TypeError), match="JSON"):
                agent.call_tool(one_server.url, "echo", {"text": wrong})
    assert one_server.asked() == []


def test_the_session(one_server: McpServer) -> None:
    async def main() -> None:
        agent = LimeAgent(mcp_addresses=addresses(one_server))
        async with agent, agent.mcp_session(one_server.url) as session:
            assert isinstance(session, mcp.ClientSession)
            capabilities = session.get_server_capabilities()
            assert capabilities is not None
            assert capabilities.tools is not None
            page = await session.list_tools()
            assert type(page) is mcp.types.ListToolsResult
            assert page.nextCursor is None
            result = await session.call_tool("echo", {"text": "a"}, meta={"trace": 1})
            with pytest.raises(mcp.McpError, match="Timed out"):
                await session.call_tool("forever", read_timeout_seconds=timedelta(milliseconds=1))
            with pytest.raises(RuntimeError, match="has begun"):
                await session.initialize()
            assert result.content[0].text == "a"  # type: ignore[union-attr]
            assert len((await session.list_resources()).resources) == 1
            assert len((await session.list_resource_templates()).resourceTemplates) == 1
            assert len((await session.read_resource("note://today")).contents) == 1
            assert len((await session.list_prompts()).prompts) == 1
            assert len((await session.get_prompt("greet", {"name": "a"})).messages) == 1
            assert await session.send_ping() == mcp.types.EmptyResult()
            assert await session.set_logging_level("info") == mcp.types.EmptyResult()
            await session.send_progress_notification("t", 1, 2, "half")
            raw = await session.request("prompts/list")
            assert raw["prompts"][0]["name"] == "greet"
            await session.notify("notifications/roots/list_changed")
            with pytest.raises(ValueError, match="no notification"):
                await session.notify("ping")
            with pytest.raises(McpError):
                await session.request("no/such")
            # The agent's own calls go on meanwhile.
            await agent.send_ping(one_server.url)

    asyncio.run(main())
    asked = one_server.asked()
    call = next(entry for entry in asked if entry["rpc"] == "tools/call")
    assert call["message"]["params"]["_meta"] == {"trace": 1}
    assert [entry["rpc"] for entry in asked].count("initialize") == 1


def test_the_agents_own_token_stays_with_the_platform(
    one_server: McpServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with SyncLimeAgent(mcp_addresses=addresses(one_server)) as agent:
        agent.call_tool(one_server.url, "echo", {"text": "a"})
        token = agent.get_mcp_access_token(one_server.url).access_token
    for entry in one_server.asked():
        assert "x-agent-token" not in entry["headers"]
        assert os.environ["LIME_AGENT_TOKEN"] not in json.dumps(entry)
    assert token not in caplog.text
    assert one_server.url in caplog.text


def test_a_forked_child_begins_a_session_of_its_own(one_server: McpServer) -> None:
    agent = SyncLimeAgent(mcp_addresses=addresses(one_server))
    agent.send_ping(one_server.url)
    child = os.fork()
    if child == 0:
        try:
            agent.send_ping(one_server.url)
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    agent.send_ping(one_server.url)
    sessions = {entry["session"] for entry in one_server.asked() if entry["rpc"] == "ping"}
    assert len(sessions) == 2
    agent.close()


WITHOUT_MCP = textwrap.dedent(
    """
    import sys
    sys.modules["mcp"] = None  # as where it is not installed
    import copy, pickle
    import lime_agents
    from lime_agents import CallToolResult, McpError, SyncLimeAgent, Tool

    url = sys.argv[1]
    with SyncLimeAgent() as agent:
        tools = agent.list_tools(url)
        echo = next(tool for tool in tools if tool.name == "echo")
        assert type(echo) is Tool and echo.description == "Gives the text back", echo
        assert echo.inputSchema["properties"]["text"]["type"] == "string"
        assert echo.title is None and echo.annotations is None and echo.meta is None
        result = agent.call_tool(url, "echo", {"text": "a"})
        assert type(result) is CallToolResult and result.isError is False
        assert result.content[0].type == "text" and result.content[0].text == "a"
        assert result.structuredContent == {"result": "a"} and result.meta is None
        assert agent.call_tool(url, "fail").isError is True
        for same in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
            assert same == result and repr(same) == repr(result)
        assert result != agent.call_tool(url, "echo", {"text": "b"})
        assert result.model_dump()["content"] == [{"type": "text", "text": "a"}]
        try:
            result.nothing
        except AttributeError as error:
            assert "nothing" in str(error)
        else:
            raise AssertionError
        assert [each.uri for each in agent.list_resources(url)] == ["note://today"]
        assert agent.list_resource_templates(url)[0].uriTemplate == "note://{name}"
        assert agent.read_resource(url, "note://x").contents[0].text == "the note x"
        assert agent.list_prompts(url)[0].arguments[0].name == "name"
        assert agent.get_prompt(url, "greet", {"name": "A"}).messages[0].content.text == "Greet A"
        assert agent.get_server_capabilities(url).tools is not None
        assert agent.get_server_capabilities(url).completions is None
        try:
            agent.read_resource(url, "none://there")
        except McpError as error:
            assert type(error) is McpError and error.detail["code"] == int(error.code)
        else:
            raise AssertionError

    async def session():
        import asyncio
        from lime_agents import LimeAgent
        async with LimeAgent() as agent, agent.mcp_session(url) as session:
            assert session.get_server_capabilities().tools is not None
            page = await session.list_tools()
            assert page.nextCursor is None and "echo" in [tool.name for tool in page.tools]
            result = await session.call_tool("echo", {"text": "a"}, meta={"trace": 1})
            assert result.content[0].text == "a"
            assert len((await session.list_resources()).resources) == 1
            assert len((await session.list_resource_templates()).resourceTemplates) == 1
            assert len((await session.read_resource("note://today")).contents) == 1
            assert len((await session.list_prompts()).prompts) == 1
            assert len((await session.get_prompt("greet", {"name": "a"})).messages) == 1
            assert repr(await session.send_ping()) == repr(await session.set_logging_level("info")) == "EmptyResult()"
            await session.send_progress_notification("t", 1, 2, "half")
            assert (await session.request("prompts/list"))["prompts"][0]["name"] == "greet"
            await session.notify("notifications/roots/list_changed")
            try:
                await session.notify("ping")
            except ValueError:
                pass
            else:
                raise AssertionError
            try:
                await session.subscribe_resource("note://today")
            except McpError:
                pass  # this server has no subscriptions
            else:
                raise AssertionError

    import asyncio
    asyncio.run(session())
    print("fine")
    """
)


def test_where_mcp_is_not_installed_results_have_its_shape(one_server: McpServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MCP, one_server.url],
        env={**os.environ, "LIME_MCP_ADDRESSES": f"{one_server.hostname}=127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def test_nothing_of_mcp_is_loaded_before_it_is_used() -> None:
    program = (
        "import sys, lime_agents; lime_agents.LimeAgent(agent_token='at_x'); print('mcp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n"


def test_the_example(one_server: McpServer) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/mcp_tool/main.py")],
        env={
            **os.environ,
            "MCP_SERVER_URL": one_server.url,
            "LIME_MCP_ADDRESSES": f"{one_server.hostname}=127.0.0.1",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [
        "token issued",
        "tools listed",
        "tool called",
    ]


def test_the_program_of_the_readme(one_server: McpServer) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    [program] = [block for block in blocks if "call_tool" in block]
    done = subprocess.run(
        [sys.executable, "-c", program.replace("https://tools.example.com/mcp", one_server.url)],
        env={**os.environ, "LIME_MCP_ADDRESSES": f"{one_server.hostname}=127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("hello\n", "")
