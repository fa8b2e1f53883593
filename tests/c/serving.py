"""Runs the programs of examples/ that serve and listen, in any language, and says what is wrong with them."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import threading
import urllib.parse
from typing import Any, Protocol

LIMIT = 120  # seconds


class Sandbox(Protocol):
    """Of the C tests, or of the Python ones."""

    environment: Any
    info: Any

    def control(self, method: str, path: str, body: Any = None) -> Any: ...


class Program:
    """A program that is listened to line by line; it is killed when it takes too long."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.errors = ""
        self._watchdog = threading.Timer(LIMIT, self.process.kill)
        self._watchdog.start()
        self._reader = threading.Thread(target=self._read_errors)
        self._reader.start()

    def _read_errors(self) -> None:
        self.errors = self.process.stderr.read()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.end()

    def line(self) -> list[str]:
        return self.process.stdout.readline().rstrip("\n").split("\t")

    def end(self) -> int:
        status = self.process.wait()
        self._watchdog.cancel()
        self._reader.join()
        return status


def expect(program: Program, got: object, wanted: object) -> None:
    if got != wanted:
        program.process.kill()
        program.end()
        raise AssertionError(f"got {got}, not {wanted}; {program.errors}")


def event_stream(command: list[str], sandbox: Sandbox) -> None:
    """Three requests: an agent signs in, one expires, and an agent signs in while the stream is cut."""
    with Program(command, sandbox.environment) as program:
        expect(program, program.line(), ["listening"])
        ids = []
        for _ in range(3):
            word, request_id = program.line()
            expect(program, word, "request")
            ids.append(request_id)
        for request_id, what, end in (
            (ids[2], "approve", "signed in"),
            (ids[0], "expire", "expired"),
            (ids[1], "approve", "signed in"),
        ):
            if request_id == ids[1]:
                sandbox.control("POST", "/faults", {"route": "events", "action": "cut"})
            sandbox.control("POST", f"/login-requests/{request_id}/{what}", {} if what == "approve" else None)
            expect(program, program.line(), ["event", request_id, end])
        expect(program, program.line(), [""])
        expect(program, program.end(), 0)
        # Python's logging writes there, too.
        states = re.findall(r"^state\t(.*)$", program.errors, re.MULTILINE)
        allowed = {"idle", "connecting", "open", "backing_off"}
        if not set(states) <= allowed or states.count("open") != 2 or "backing_off" not in states:
            raise AssertionError(f"the states were {states}")


# Raw requests that are refused, and how; HOST stands for a head that is good so far.
HEAD = b"POST /sesame/webhook HTTP/1.1\r\nhost: localhost\r\n"
REFUSED = (
    (b"GET / HTTP/1.1\r\n\r\n", 404),
    (b"POST /sesame/webhooks HTTP/1.1\r\ncontent-length: 0\r\n\r\n", 404),
    (b"POST /sesame/webhook \r\n\r\n", 411),
    (HEAD + b"\r\n", 411),
    (HEAD + b"content-length:\r\n\r\n", 411),
    (HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", 411),
    (HEAD + b"content-length: -1\r\n\r\n", 400),
    (HEAD + b"content-length: 0x2\r\n\r\n{}", 400),
    (HEAD + b"no colon\r\ncontent-length: 2\r\n\r\n{}", 400),
    (HEAD + b"content-length: 2\r\n\r\n{}{}", 400),
    (HEAD + b"content-length: 1048577\r\n\r\n", 413),
    (HEAD + b"content-length: 99999999999999999999\r\n\r\n", 413),
    (HEAD + b"x: " + b"y" * 20000, 431),
    (HEAD + b"content-length: 10\r\n\r\nhalf", 408),
    (b"", 408),
    # Not signed at all; this one is read to its end.
    (HEAD + b"content-length: 2\r\n\r\n{}", 400),
    (HEAD + b"CONTENT-LENGTH:  1048576\t\r\n\r\n" + b"x" * 1048576, 400),
)
SAID = 2  # of the last ones it says something


def webhook_receiver(command: list[str], sandbox: Sandbox) -> None:
    """A decision arrives; then it arrives again, changed, in pieces, and as what is no webhook at all."""
    count = 4 + len(REFUSED)
    with Program([*command, "0", str(count)], sandbox.environment) as program:
        word, url = program.line()
        expect(program, word, "listening")
        sandbox.control("POST", "/rules", {"action": "web.*", "decision": "approved"})
        trigger(sandbox, {"action": "web.hook", "summary": "Something", "callback_url": url})
        sent = sandbox.control("GET", "/webhooks?min=1&wait_ms=30000")["webhooks"][0]
        expect(program, program.line(), ["webhook", sent["approval_id"], "approved"])
        headers = [
            f"X-Sesame-Signature: {sent['signature']}",
            f"x-sesame-timestamp:{sent['timestamp']}",
        ]
        for body, piece, said, status in (
            (sent["body"].replace("approved", "denied"), 1 << 20, ["refused", "mismatch"], 400),
            (sent["body"], 1 << 20, ["repeated"], 204),
            (sent["body"], 1, ["repeated"], 204),
        ):
            lines = [*headers, f"Content-Length: {len(body.encode())}"]
            raw = HEAD + "\r\n".join(lines).encode() + b"\r\n\r\n" + body.encode()
            expect(program, answer(url, raw, piece), status)
            expect(program, program.line(), said)
        for raw, status in REFUSED:
            expect(program, (raw[:200], answer(url, raw)), (raw[:200], status))
        for _ in range(SAID):
            expect(program, program.line(), ["refused", "missing_header"])
        expect(program, program.line(), [""])
        expect(program, (program.end(), program.errors), (0, ""))


def trigger(sandbox: Sandbox, approval: dict[str, str]) -> None:
    url = urllib.parse.urlsplit(sandbox.environment["SESAME_BROKER_URL"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=LIMIT)
    authorization = {"authorization": f"Bearer {sandbox.environment['SESAME_API_KEY']}"}
    connection.request("POST", "/v1/approvals", json.dumps(approval), authorization)
    status = connection.getresponse().status
    connection.close()
    if status != 202:
        raise AssertionError(f"the broker answered {status}")


def answer(url: str, raw: bytes, piece: int = 1 << 20) -> int:
    """The status that a raw request is answered with."""
    place = urllib.parse.urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=LIMIT) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(raw), piece):
            connection.sendall(raw[at : at + piece])
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while more := connection.recv(65536):
            got += more
    return int(got.split(b" ")[1]) if got.startswith(b"HTTP/1.1 ") else -1
