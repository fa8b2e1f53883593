"""Middleware for WSGI: Flask, Django, Bottle.

>>> from lime_mcp_server.wsgi import TokenMiddleware
"""

from __future__ import annotations

from lime_mcp_server._request import bearer_token, refusal
from lime_mcp_server._types import TokenValidationResult
from lime_sdk._errors import LimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

    from lime_mcp_server._verifier import TokenVerifier

    App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

__all__ = ["TokenMiddleware"]


class TokenMiddleware:
    """Lets a request through only with an access token for this server.

    The application finds the verified token, a :class:`~lime_mcp_server.TokenValidationResult`, in its environ
    as ``lime.token``. Others are answered with 401, or 503 while the platform's keys cannot be had.

    Example::

        app = Flask(__name__)
        verifier = TokenVerifier(expected_domain="tools.example.com")
        app.wsgi_app = TokenMiddleware(app.wsgi_app, verifier)

        @app.get("/whoami")
        def whoami() -> str:
            return request.environ["lime.token"].agent_id
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
            app: The WSGI application.
            verifier: Verifies the tokens; it stays yours to close.
            resource_metadata: URL of the server's own metadata (RFC 9728), which the answer to a request without
                a token names, so that MCP clients learn whom to ask for one.
            exclude: Paths that need no token, such as ``/health``: exactly these, as the application sees them.
        """
        self._app = app
        self._verifier = verifier
        self._resource_metadata = resource_metadata
        self._exclude = frozenset(exclude)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request, as WSGI has it."""
        # Only the middleware may say who the caller is.
        environ.pop("lime.token", None)
        if environ.get("PATH_INFO", "") in self._exclude:
            return self._app(environ, start_response)
        header = environ.get("HTTP_AUTHORIZATION")
        try:
            token = bearer_token([] if header is None else [header])
            claims = self._verifier.claims(token)
        except LimeError as error:
            status, headers, body = refusal(error, self._resource_metadata)
            from http import HTTPStatus

            start_response(f"{status} {HTTPStatus(status).phrase}", headers)
            return [body]
        environ["lime.token"] = TokenValidationResult(is_valid=True, claims=claims)
        return self._app(environ, start_response)
