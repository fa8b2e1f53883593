"""How many calls of a tool lime-agents-sdk 3.0.2 makes in a second, and how many ours; and what an import costs.

    .venv/bin/python tools/bench_mcp.py [PACKAGES]

PACKAGES is a folder with our packages, such as build/bench/packages, which `make bench` makes of the release wheel; without
it they are those of the source tree, built for development. Against a server that costs next to nothing, and against the
official SDK's, which costs more than either client. Machines are noisy: compare ratios, not figures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "tests/published", "bindings-python/python")]
HOSTNAME = "tools.example.com"
REPEATS = 5

# An HTTP server that knows what the client asks and nothing more.
BARE = """
import asyncio, json, sys

class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.received = transport, b""

    def data_received(self, data):
        self.received += data
        while (end := self.received.find(b"\\r\\n\\r\\n")) >= 0:
            head = self.received[:end].split(b"\\r\\n")
            length = next((int(line[15:]) for line in head if line.lower().startswith(b"content-length:")), 0)
            if len(self.received) < end + 4 + length:
                return
            body = self.received[end + 4 : end + 4 + length]
            self.received = self.received[end + 4 + length :]
            self.transport.write(self.answer(head[0].split()[0], body))

    def answer(self, method, body):
        if method != b"POST":
            return b"HTTP/1.1 %d x\\r\\nContent-Length: 0\\r\\n\\r\\n" % (405 if method == b"GET" else 200)
        message = json.loads(body)
        if "id" not in message:
            return b"HTTP/1.1 202 Accepted\\r\\nContent-Length: 0\\r\\n\\r\\n"
        if message["method"] == "initialize":
            version = message["params"]["protocolVersion"]
            result = {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
        else:
            text = message["params"]["arguments"]["text"]
            result = {"content": [{"type": "text", "text": text}], "isError": False}
        said = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        head = b"HTTP/1.1 200 OK\\r\\nMcp-Session-Id: s\\r\\nContent-Type: "
        if "--json" in sys.argv:
            return head + b"application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(said), said)
        said = b"event: message\\r\\ndata: %b\\r\\n\\r\\n" % said
        return head + b"text/event-stream\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n%x\\r\\n%b\\r\\n0\\r\\n\\r\\n" % (len(said), said)

async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""

# Both packages look names up in this process, or are told.
CLIENT = """
import asyncio, json, socket, sys, time
port, hostname, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
started = time.perf_counter()
from lime_agents import LimeAgent
imported = time.perf_counter() - started
look_up = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: look_up(
    "127.0.0.1" if host in (hostname, hostname.encode()) else host, *rest, **more
)

async def main():
    url = f"http://{hostname}:{port}/mcp"
    async with LimeAgent() as agent:
        await agent.call_tool(url, "echo", {"text": "x"})  # begins the session
        rates = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            for _ in range(count):
                await agent.call_tool(url, "echo", {"text": "x"})
            rates.append(count / (time.perf_counter() - started))
    print(json.dumps({"rates": rates, "import": imported * 1000}))

asyncio.run(main())
""".replace("REPEATS", str(REPEATS))


def measured(python: str, packages: str | None, port: int, count: int) -> tuple[float, float]:
    """Calls a second, and the milliseconds of the import."""
    environment = {**os.environ, "LIME_MCP_ADDRESSES": f"{HOSTNAME}=127.0.0.1"}
    if packages is not None:
        environment["PYTHONPATH"] = packages
    command = [python, "-c", CLIENT, str(port), HOSTNAME, str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(done.stdout)
    return statistics.median(found["rates"]), found["import"]


def main() -> None:
    """Measure, and print a table."""
    from conftest import Sandbox
    from mcp_server import McpServer
    from test_published import PAIRS
    from throwaway import environment

    packages = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "bindings-python/python")
    clients = {"lime-agents-sdk 3.0.2": (str(environment("today", *PAIRS["today"])), None)}
    clients["ours"] = (sys.executable, packages)
    with Sandbox("--difficulty", "8") as sandbox, sandbox.in_environment():
        for kind in ("--json", ""):
            answers = "JSON" if kind else "stream"
            bare = subprocess.Popen([sys.executable, "-c", BARE, kind], stdout=subprocess.PIPE, text=True)
            assert bare.stdout is not None
            report(f"a bare server, {answers}", clients, int(bare.stdout.readline()), 300)
            bare.terminate()
            bare.wait()
            with McpServer(*([kind] if kind else [])) as server:
                report(f"the official SDK's server, {answers}", clients, server.port, 50)


def report(title: str, clients: dict[str, tuple[str, str | None]], port: int, count: int) -> None:
    """One server, both clients."""
    found = {name: measured(*client, port, count) for name, client in clients.items()}
    (theirs, their_import), (ours, our_import) = found.values()
    print(f"call_tool, {title:<36}{theirs:>8.0f} {ours:>8.0f} calls/s  {ours / theirs:5.1f} ×", flush=True)
    print(
        f"{'':11}import {'':29}{their_import:>8.0f} {our_import:>8.0f} ms       1/{their_import / our_import:.0f}"
    )


if __name__ == "__main__":
    main()
