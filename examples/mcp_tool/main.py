"""An agent calls a tool of an MCP server, which verifies its token.

Reads LIME_API_BASE, LIME_AGENT_TOKEN and MCP_SERVER_URL; prints each step and its milliseconds.
"""

import asyncio
import os
import time

from lime_agents import LimeAgent


class Steps:
    """Prints `name<TAB>milliseconds` for each step."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def done(self, name: str) -> None:
        now = time.perf_counter()
        print(f"{name}\t{(now - self.last) * 1000:.1f}", flush=True)
        self.last = now


async def main(server: str) -> None:
    async with LimeAgent() as agent:
        profile = await agent.get_profile()
        steps = Steps()

        # Only for programs that do something else with it: the calls below get it by themselves.
        token = await agent.get_mcp_access_token(server)
        assert token.token_type == "Bearer"
        steps.done("token issued")

        tools = await agent.list_tools(server)
        assert "who" in [tool.name for tool in tools]
        steps.done("tools listed")

        result = await agent.call_tool(server, "who", {"greeting": "hello"})
        said = result.content[0]
        # What the server read in the token that it verified.
        assert said.type == "text"
        assert said.text == f"hello {profile.agent_id}"
        steps.done("tool called")


if __name__ == "__main__":
    asyncio.run(main(os.environ["MCP_SERVER_URL"]))
