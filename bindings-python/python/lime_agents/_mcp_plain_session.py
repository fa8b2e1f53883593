"""A session with one MCP server, for what the methods of the agent do not offer."""

from __future__ import annotations

from lime_agents import _mcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from lime_agents import _mcp_types as types
    from lime_agents._agent import LimeAgent


class McpSession:
    """The session that an agent keeps with one MCP server.

    Its methods are those of ``mcp.ClientSession`` and give whole results; :meth:`request` and :meth:`notify`
    reach the rest of the protocol. The token is attached, and replaced when the server refuses it.
    """

    def __init__(self, agent: LimeAgent, target: str) -> None:
        """Made by :meth:`~lime_agents.LimeAgent.mcp_session`.

        Args:
            agent: Whose session it is.
            target: The server.
        """
        self._agent = agent
        self._target = target
        self._capabilities: types.ServerCapabilities | None = None

    async def _call(self, call: _mcp.Call) -> Any:
        return await self._agent._call_mcp(self._target, call)  # pyright: ignore[reportPrivateUsage]

    async def __aenter__(self) -> Self:
        """Begin the session, if the agent has none with this server yet."""
        self._capabilities = await self._call(_mcp.get_server_capabilities())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Nothing: the agent keeps the session for its next call."""

    async def _page(self, method: str, kind: str, cursor: str | None) -> Any:
        return await self._call(_mcp.Call(method, kind, {"cursor": cursor} if cursor else None, whole=False))

    def get_server_capabilities(self) -> types.ServerCapabilities | None:
        """What the server can do, as it said when the session began.

        Raises:
            Nothing: It was asked for when the session began.
        """
        return self._capabilities

    async def list_tools(self, cursor: str | None = None) -> types.ListToolsResult:
        """A page of the server's tools.

        Args:
            cursor: ``nextCursor`` of the page before.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        page: types.ListToolsResult = await self._page("tools/list", "ListToolsResult", cursor)
        return page

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
    ) -> types.CallToolResult:
        """Call a tool.

        Args:
            name: The tool.
            arguments: Its arguments.
            meta: The request's ``_meta``.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        params: dict[str, Any] = {"name": name, "arguments": arguments or {}}
        if meta is not None:
            params["_meta"] = dict(meta)
        result: types.CallToolResult = await self._call(_mcp.Call("tools/call", "CallToolResult", params))
        return result

    async def list_resources(self, cursor: str | None = None) -> types.ListResourcesResult:
        """A page of the server's resources.

        Args:
            cursor: ``nextCursor`` of the page before.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        page: types.ListResourcesResult = await self._page("resources/list", "ListResourcesResult", cursor)
        return page

    async def list_resource_templates(self, cursor: str | None = None) -> types.ListResourceTemplatesResult:
        """A page of the server's templates of resources.

        Args:
            cursor: ``nextCursor`` of the page before.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        page: types.ListResourceTemplatesResult = await self._page(
            "resources/templates/list", "ListResourceTemplatesResult", cursor
        )
        return page

    async def read_resource(self, uri: str) -> types.ReadResourceResult:
        """Read a resource.

        Args:
            uri: The resource.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: types.ReadResourceResult = await self._call(_mcp.read_resource(uri))
        return result

    async def subscribe_resource(self, uri: str) -> types.EmptyResult:
        """Ask to be told of changes of a resource.

        Args:
            uri: The resource.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        return await self._empty("resources/subscribe", uri)

    async def unsubscribe_resource(self, uri: str) -> types.EmptyResult:
        """Ask not to be told any more.

        Args:
            uri: The resource.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        return await self._empty("resources/unsubscribe", uri)

    async def _empty(self, method: str, uri: str) -> types.EmptyResult:
        result: types.EmptyResult = await self._call(_mcp.Call(method, "EmptyResult", {"uri": str(uri)}))
        return result

    async def list_prompts(self, cursor: str | None = None) -> types.ListPromptsResult:
        """A page of the server's prompts.

        Args:
            cursor: ``nextCursor`` of the page before.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        page: types.ListPromptsResult = await self._page("prompts/list", "ListPromptsResult", cursor)
        return page

    async def get_prompt(
        self, name: str, arguments: Mapping[str, str] | None = None
    ) -> types.GetPromptResult:
        """Fill in a prompt.

        Args:
            name: The prompt.
            arguments: Its arguments.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: types.GetPromptResult = await self._call(_mcp.get_prompt(name, arguments))
        return result

    async def send_ping(self) -> types.EmptyResult:
        """Ask whether the server is there.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: types.EmptyResult = await self._call(_mcp.send_ping())
        return result

    async def set_logging_level(self, level: str) -> types.EmptyResult:
        """Say from which level on the server is to send log records.

        Args:
            level: ``debug`` to ``emergency``.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        result: types.EmptyResult = await self._call(_mcp.set_logging_level(level))
        return result

    async def send_progress_notification(
        self,
        progress_token: str | int,
        progress: float,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        """Tell the server how far something has come that it asked for.

        Args:
            progress_token: The server's token for it.
            progress: How far it has come.
            total: How far it has to come, if that is known.
            message: What is being done, for people.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        await self._call(_mcp.send_progress_notification(progress_token, progress, total, message))

    async def request(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Any other request of the protocol; its result as the server wrote it.

        Args:
            method: The method, such as ``completion/complete``.
            params: Its parameters.

        Raises:
            McpError: The server reports an error.
            LimeError: The server or the platform could not be reached or understood.
        """
        return await self._agent._call_mcp_raw(  # pyright: ignore[reportPrivateUsage]
            self._target, _mcp.Call(method, "", params, whole=False)
        )

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Any other notification of the protocol.

        Args:
            method: The method; it begins with ``notifications/``.
            params: Its parameters.

        Raises:
            ValueError: It is no notification.
        """
        if not method.startswith("notifications/"):
            raise ValueError(f"{method} is no notification")
        await self.request(method, params)
