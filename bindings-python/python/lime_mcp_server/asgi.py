"""Middleware for ASGI: Starlette, FastAPI, the official MCP SDK's servers.

>>> from lime_mcp_server.asgi import TokenMiddleware
"""

from __future__ import annotations

from lime_mcp_server._request import bearer_token, refusal
from lime_mcp_server._types import TokenValidationResult
from lime_sdk._errors import LimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, MutableMapping
    from typing import Any

    from lime_mcp_server._verifier import TokenVerifier

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["TokenMiddleware"]


class TokenMiddleware:
    """Lets a request through only with an access token for this server.

    The application finds the verified token, a :class:`~lime_mcp_server.TokenValidationResult`, as
    ``scope["state"]["lime_token"]``, which is ``request.state.lime_token`` in Starlette and FastAPI. Others are
    answered with 401, or 503 while the platform's keys cannot be had; a WebSocket is closed before it opens.

    Example::

        app = FastAPI()
        app.add_middleware(TokenMiddleware, verifier=TokenVerifier(expected_domain="tools.example.com"))

        @app.get("/whoami")
        async def whoami(request: Request) -> str:
            return request.state.lime_token.agent_id
    """

    def __init__(
        self,
        app: App,
        verifier: TokenVerifier,
        *,
        resource_metadata: str | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        """Put the middleware around an application.

        Args:
            app: The ASGI application.
            verifier: Verifies the tokens; it stays yours to close.
            resource_metadata: URL of the server's own metadata (RFC 9728), which the answer to a request without
                a token names, so that MCP clients learn whom to ask for one.
            exclude: Paths that need no token, such as ``/health``: exactly these, as the application sees them.
        """
        self._app = app
        self._verifier = verifier
        self._resource_metadata = resource_metadata
        self._exclude = frozenset(exclude)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] not in ("http", "websocket") or scope.get("path") in self._exclude:
            await self._app(scope, receive, send)
            return
        values = [
            value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"authorization"
        ]
        try:
            claims = await self._verifier.claims_async(bearer_token(values))
        except LimeError as error:
            await self._refuse(error, scope["type"], send)
            return
        token = TokenValidationResult(is_valid=True, claims=claims)
        await self._app({**scope, "state": {**scope.get("state", {}), "lime_token": token}}, receive, send)

    async def _refuse(self, error: LimeError, kind: str, send: Send) -> None:
        if kind == "websocket":
            # Before it was accepted, a close is a 403 to the client.
            await send({"type": "websocket.close", "code": 1008})
            return
        status, headers, body = refusal(error, self._resource_metadata)
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
