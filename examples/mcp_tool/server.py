"""An MCP server that lets agents in by their LIME tokens. Needs `mcp`, which brings uvicorn.

Reads LIME_BASE_URL and LIME_EXPECTED_DOMAIN, the host name that it is reached by; prints `listening<TAB>port`.
"""

import os
import socket

import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.server.transport_security import TransportSecuritySettings

from lime_mcp_server import TokenVerifier
from lime_mcp_server.asgi import TokenMiddleware

names = [f"{os.environ['LIME_EXPECTED_DOMAIN']}:*"]
server = FastMCP(
    "hello",
    log_level="WARNING",
    # Requests for other names are not for this server, whoever sends them.
    transport_security=TransportSecuritySettings(allowed_hosts=names),
)


@server.tool()
def who(greeting: str) -> str:
    """Greets the agent that calls."""
    request = server.get_context().request_context.request
    assert request is not None
    return f"{greeting} {request.state.lime_token.agent_id}"


def main() -> None:
    verifier = TokenVerifier()
    verifier.warmup()
    app = TokenMiddleware(server.streamable_http_app(), verifier)
    listening = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0"))))
    # Connections wait in the socket's queue from here on.
    print(f"listening\t{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
