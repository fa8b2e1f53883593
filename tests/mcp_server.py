"""An MCP server for tests: the official Python SDK's, behind a check of LIME's access tokens.

Run as a program it prints its port when it is ready, and ends when its standard input does:

    python tests/mcp_server.py HOSTNAME [--json] [--stateless]

Its tokens have to be for HOSTNAME and signed by the platform that LIME_API_BASE names. At ``/_test`` it says what it
was asked (GET), and does what a test wants (POST): ``{"refuse": n}`` answers the next n requests with 401,
``{"status": [s, n]}`` with the status s, ``{"forget": true}`` loses all sessions, ``{"clear": true}`` what it was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

HOSTNAME = "tools.example.com"


class McpServer:
    """The server as a process of its own, for tests."""

    def __init__(
        self, *options: str, hostname: str = HOSTNAME, environment: dict[str, str] | None = None
    ) -> None:
        command = [sys.executable, str(Path(__file__)), hostname, *options]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.hostname = hostname
        self.url = f"http://{hostname}:{self.port}/mcp"

    def __enter__(self) -> McpServer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def asked(self) -> list[dict[str, Any]]:
        """What it was asked so far: HTTP method, JSON-RPC method, session, token, answer's status."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_test", timeout=30) as response:
            found: list[dict[str, Any]] = json.load(response)
        return found

    def methods(self) -> list[str]:
        """The JSON-RPC methods that it was asked for."""
        return [entry["rpc"] for entry in self.asked() if entry["rpc"]]

    def tell(self, **wish: Any) -> None:
        """Have it do something."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/_test", json.dumps(wish).encode())
        urllib.request.urlopen(request, timeout=30).close()


def tools(arguments: argparse.Namespace) -> Any:
    """The server with its tools, resources and prompts."""
    from mcp.server.fastmcp import FastMCP
    from mcp.server.transport_security import TransportSecuritySettings

    server = FastMCP(
        "tests",
        log_level="CRITICAL",
        json_response=arguments.json,
        stateless_http=arguments.stateless,
        transport_security=TransportSecuritySettings(
            allowed_hosts=[f"{arguments.hostname}:*", "127.0.0.1:*"]
        ),
    )

    @server.tool(description="Gives the text back")
    def echo(text: str) -> str:
        return text

    @server.tool()
    def add(a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    @server.tool()
    def fail() -> str:
        raise RuntimeError("it went wrong")

    @server.tool()
    def who(greeting: str) -> str:
        request = server.get_context().request_context.request
        assert request is not None
        return f"{greeting} {request.scope['lime']['sub']}"

    @server.tool()
    async def steps() -> str:
        context = server.get_context()
        for step in range(3):
            await context.report_progress(step, 3)
            await context.info(f"step {step}")
        return "done"

    @server.tool()
    async def forever() -> str:
        await asyncio.Event().wait()
        return "never"

    @server.tool()
    def large(size: int) -> str:
        return "x" * size

    @server.resource("note://today", mime_type="text/plain")
    def today() -> str:
        return "a note"

    @server.resource("note://{name}")
    def note(name: str) -> str:
        return f"the note {name}"

    @server.prompt()
    def greet(name: str) -> str:
        return f"Greet {name}"

    low = server._mcp_server  # FastMCP has no door for it

    @low.set_logging_level()  # type: ignore[no-untyped-call,misc,untyped-decorator]
    async def set_level(level: str) -> None:
        del level

    return server


class Guarded:
    """The application behind the check of tokens, and the tests' door."""

    def __init__(self, server: Any, hostname: str) -> None:
        import jwt

        self._server = server
        self._app = server.streamable_http_app()
        self._hostname = hostname
        root = os.environ["LIME_API_BASE"]
        with urllib.request.urlopen(
            f"{root}/modules/oauth/.well-known/oauth-authorization-server", timeout=30
        ) as response:
            self._metadata = json.load(response)
        self._keys = jwt.PyJWKClient(self._metadata["jwks_uri"])
        self._asked: list[dict[str, Any]] = []
        self._wishes: list[int] = []

    def claims(self, authorization: str) -> dict[str, Any]:
        """The claims of a token that is for this server.

        Raises:
            jwt.PyJWTError: It is not.
        """
        import jwt

        token = authorization.removeprefix("Bearer ")
        key = self._keys.get_signing_key_from_jwt(token).key
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=["RS256"], audience="mcp", issuer=self._metadata["issuer"], leeway=120
        )
        if claims.get("domain") != self._hostname or not claims.get("sub"):
            raise jwt.InvalidTokenError("for another server")
        return claims

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        import jwt

        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        body = b""
        more = scope["method"] in ("POST", "DELETE")
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == "/_test":
            return await self._door(scope["method"], body, send)
        rpc = json.loads(body).get("method", "response") if body else ""
        entry = {
            "http": scope["method"],
            "rpc": rpc,
            "message": json.loads(body) if body else None,
            "session": headers.get("mcp-session-id"),
            "version": headers.get("mcp-protocol-version"),
            "token": headers.get("authorization", ""),
            "headers": sorted(headers),
            "status": 0,
        }
        self._asked.append(entry)

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        if self._wishes:
            return await answer(sending, self._wishes.pop(0), {"error": "wished for"})
        try:
            claims = await asyncio.to_thread(self.claims, headers.get("authorization", ""))
        except jwt.PyJWTError as error:
            return await answer(sending, 401, {"error": "invalid_token", "error_description": str(error)})
        scope["lime"] = claims
        given = False

        async def receiving() -> Any:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receiving, sending)

    async def _door(self, method: str, body: bytes, send: Any) -> None:
        if method == "POST":
            wish = json.loads(body)
            self._wishes += [401] * wish.get("refuse", 0)
            status, count = wish.get("status", [0, 0])
            self._wishes += [status] * count
            if wish.get("forget"):
                self._server.session_manager._server_instances.clear()
            if wish.get("clear"):
                self._asked.clear()
        await answer(send, 200, self._asked)


async def answer(send: Any, status: int, body: Any) -> None:
    """Answer with JSON."""
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def main() -> None:
    """Serve until standard input ends."""
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("hostname")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stateless", action="store_true")
    arguments = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", 0))
    app = Guarded(tools(arguments), arguments.hostname)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))

    def until_the_end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=until_the_end, daemon=True).start()
    # Connections wait in the socket's queue from here on.
    print(listening.getsockname()[1], flush=True)
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
