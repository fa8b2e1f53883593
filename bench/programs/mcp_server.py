"""An MCP server that knows what the client asks and nothing more; answers in JSON, or with --stream as events.

Prints its port.
"""

from __future__ import annotations

import asyncio
import json
import sys


class Server(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer what has arrived whole."""
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].split(b"\r\n")
            length = next((int(line[15:]) for line in head if line.lower().startswith(b"content-length:")), 0)
            if len(self.received) < end + 4 + length:
                return
            body = self.received[end + 4 : end + 4 + length]
            self.received = self.received[end + 4 + length :]
            self.transport.write(self.answer(head[0].split()[0], body))

    def answer(self, method: bytes, body: bytes) -> bytes:
        """What is said to a request."""
        if method != b"POST":
            return b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % (405 if method == b"GET" else 200)
        message = json.loads(body)
        if "id" not in message:
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        if message["method"] == "initialize":
            version = message["params"]["protocolVersion"]
            result = {
                "protocolVersion": version,
                "capabilities": {},
                "serverInfo": {"name": "x", "version": "1"},
            }
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
        else:
            text = message["params"]["arguments"]["text"]
            result = {"content": [{"type": "text", "text": text}], "isError": False}
        said = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        head = b"HTTP/1.1 200 OK\r\nMcp-Session-Id: s\r\nContent-Type: "
        if "--stream" not in sys.argv:
            return head + b"application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)
        said = b"event: message\r\ndata: %b\r\n\r\n" % said
        return head + b"text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            len(said),
            said,
        )


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
