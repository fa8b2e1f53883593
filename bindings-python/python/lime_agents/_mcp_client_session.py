"""A session with one MCP server, where ``mcp`` is installed: its ``ClientSession``, over the agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mcp import ClientSession, McpError, types

from lime_agents import _mcp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from lime_agents._agent import LimeAgent


class McpSession(ClientSession):
    """The session that an agent keeps with one MCP server, as an ``mcp.ClientSession``.

    What it sends goes through the agent: the token is attached, and replaced when the server refuses it.
    :meth:`request` and :meth:`notify` reach what ``ClientSession`` has no method for. Progress that the
    server tells on the way is passed over.
    """

    def __init__(self, agent: LimeAgent, target: str) -> None:
        """Made by :meth:`~lime_agents.LimeAgent.mcp_session`.

        Args:
            agent: Whose session it is.
            target: The server.
        """
        # Nothing is read from streams or written to them.
        nothing: Any = None
        super().__init__(nothing, nothing)
        self._agent = agent
        self._target = target

    async def __aenter__(self) -> Self:
        """Begin the session, if the agent has none with this server yet."""
        self._server_capabilities = await self._agent.get_server_capabilities(self._target)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        """Nothing: the agent keeps the session for its next call."""
        return None

    async def initialize(self) -> types.InitializeResult:
        """Not to be called: the session has begun.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("The session has begun: get_server_capabilities() tells what the server said")

    async def send_request(
        self,
        request: types.ClientRequest,
        result_type: type[Any],
        request_read_timeout_seconds: Any = None,
        metadata: Any = None,
        progress_callback: Any = None,
    ) -> Any:
        """What every method of ``ClientSession`` comes down to.

        Args:
            request: What is asked.
            result_type: The class of the answer.
            request_read_timeout_seconds: How long to wait for it, a ``timedelta``.
            metadata: Ignored: the library resumes streams by itself.
            progress_callback: Ignored.

        Raises:
            McpError: The server reports an error, or does not answer in time.
            McpAuthenticationError: It refuses the token, also a new one.
            LimeError: The server or the platform could not be reached or understood.
        """
        message = request.model_dump(by_alias=True, mode="json", exclude_none=True)
        call = _mcp.Call(message["method"], "", message.get("params"), whole=False)
        asking = self._agent._call_mcp_raw(self._target, call)  # pyright: ignore[reportPrivateUsage]
        if request_read_timeout_seconds is None:
            return result_type.model_validate(await asking)
        seconds = request_read_timeout_seconds.total_seconds()
        try:
            return result_type.model_validate(await asyncio.wait_for(asking, seconds))
        except asyncio.TimeoutError:
            text = f"Timed out while waiting for response to {type(request.root).__name__}. Waited {seconds} seconds."
            raise McpError(types.ErrorData(code=408, message=text)) from None

    async def send_notification(
        self, notification: types.ClientNotification, related_request_id: str | int | None = None
    ) -> None:
        """Tell the server something.

        Args:
            notification: What it is told.
            related_request_id: Ignored.

        Raises:
            LimeError: The server or the platform could not be reached or understood.
        """
        message = notification.model_dump(by_alias=True, mode="json", exclude_none=True)
        await self.notify(message["method"], message.get("params"))

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
            LimeError: The server or the platform could not be reached or understood.
        """
        if not method.startswith("notifications/"):
            raise ValueError(f"{method} is no notification")
        await self.request(method, params)
