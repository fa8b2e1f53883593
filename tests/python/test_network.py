"""Certificates and proxies that the environment names."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROFILE = {"ok": True, "data": {"agent_id": "a", "owner_id": "o"}}

PROGRAM = textwrap.dedent(
    """
    import asyncio, sys
    from lime_agents import LimeAgent, LimeError

    async def main():
        url, timeout = sys.argv[1], float(sys.argv[2])
        async with LimeAgent(agent_token="at_secret", base_url=url, timeout=timeout, max_retries=0) as agent:
            try:
                print((await agent.get_profile()).agent_id)
            except LimeError as error:
                print("refused:", error.kind, error.message)

    asyncio.run(main())
    """
)


def ask(base_url: str, timeout: float | None = None, **environment: str) -> str:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SSL_CERT") and not name.lower().endswith("_proxy")
    }
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, base_url, str(timeout or 30)],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    # Where logging is not set up, Python writes warnings there.
    open_to_all = urlsplit(base_url).scheme == "http" and urlsplit(base_url).hostname not in LOOPBACK
    said = found.stderr.splitlines()
    assert (found.returncode, len(said)) == (0, int(open_to_all)), found.stderr
    assert all("is talked to without TLS" in line for line in said)
    return found.stdout.strip()


class Platform(http.server.BaseHTTPRequestHandler):
    """Answers every request with the profile and notes what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        body = json.dumps(PROFILE).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    handler = type("Handler", (Platform,), {"asked": []})
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield serving
    serving.shutdown()
    serving.server_close()


def asked(server: http.server.ThreadingHTTPServer) -> list[str]:
    return server.RequestHandlerClass.asked  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A folder with a CA (`ca.pem`) and a leaf for localhost (`leaf.pem`, `leaf.key`) signed by it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(serial_number=x509.random_serial_number())
        builder = builder.subject_name(named(subject)).issuer_name(named("a test's authority"))
        return builder.public_key(key.public_key()).not_valid_before(now - day).not_valid_after(now + day)

    ca_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    constraint = x509.BasicConstraints(ca=True, path_length=0)
    ca = certificate("a test's authority", ca_key).add_extension(constraint, critical=True)
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.DNSName("lime.invalid"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
    )
    leaf = certificate("localhost", leaf_key).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (tmp_path / "leaf.pem").write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (tmp_path / "leaf.key").write_bytes(
        leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tmp_path


def test_certificates_that_the_environment_names(
    server: http.server.ThreadingHTTPServer, authority: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "leaf.pem", authority / "leaf.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://localhost:{server.server_port}/api/v1"
    assert ask(url).startswith("refused: transport")
    assert asked(server) == []
    assert ask(url, SSL_CERT_FILE=str(authority / "ca.pem")) == "a"
    # A folder as OpenSSL's c_rehash lays it out.
    folder = authority / "folder"
    folder.mkdir()
    openssl = ["openssl", "x509", "-noout", "-hash", "-in", str(authority / "ca.pem")]
    subject = subprocess.run(openssl, check=True, capture_output=True, text=True).stdout.strip()
    (folder / f"{subject}.0").write_bytes((authority / "ca.pem").read_bytes())
    assert ask(url, SSL_CERT_DIR=str(folder)) == "a"


def test_a_machine_without_certificates(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    """As in a slim container: plain HTTP works, TLS fails with an error that says so."""
    missing = {"SSL_CERT_FILE": str(tmp_path / "none.pem"), "SSL_CERT_DIR": str(tmp_path / "none")}
    assert ask(f"http://127.0.0.1:{server.server_port}/api/v1", **missing) == "a"
    assert ask(f"https://localhost:{server.server_port}/api/v1", **missing).startswith("refused: transport")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_that_the_environment_names(server: http.server.ThreadingHTTPServer, variable: str) -> None:
    proxy = {variable: f"http://127.0.0.1:{server.server_port}"}
    assert ask("http://lime.invalid/api/v1", **proxy) == "a"
    assert asked(server) == ["http://lime.invalid/api/v1/core/agents/me/profile"]
    assert ask("http://lime.invalid/api/v1", **proxy, NO_PROXY="lime.invalid").startswith("refused:")
    assert len(asked(server)) == 1


@pytest.mark.parametrize(
    ("host", "variable", "exceptions", "through"),
    [
        ("lime.invalid", "NO_PROXY", "other.invalid, lime.invalid", False),
        ("lime.invalid", "no_proxy", "lime.invalid", False),
        ("lime.invalid", "NO_PROXY", ".invalid", False),
        ("lime.invalid", "NO_PROXY", "invalid", False),
        ("lime.invalid", "NO_PROXY", "*", False),
        ("lime.invalid", "NO_PROXY", "me.invalid", True),
        ("192.0.2.7", "NO_PROXY", "192.0.2.0/24", False),
        ("192.0.2.7", "NO_PROXY", "192.0.2.7", False),
        ("192.0.2.7", "NO_PROXY", "192.0.3.0/24", True),
    ],
)
def test_hosts_that_are_not_asked_through_the_proxy(
    server: http.server.ThreadingHTTPServer, host: str, variable: str, exceptions: str, through: bool
) -> None:
    environment = {"HTTP_PROXY": f"http://127.0.0.1:{server.server_port}", variable: exceptions}
    # Nobody answers there, wherever this runs; it is given up soon.
    answer = ask(f"http://{host}/api/v1", None if through else 0.5, **environment)
    assert (answer == "a", len(asked(server))) == (through, int(through)), answer


class Tunnel(socketserver.ThreadingTCPServer):
    """A proxy that leads everything to one port, and notes where it was to lead."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, handler: type[socketserver.StreamRequestHandler], port: int) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.port = port
        self.wanted: list[str] = []


class Through(socketserver.StreamRequestHandler):
    def lead(self, wanted: str, answer: bytes) -> None:
        tunnel = self.server
        assert isinstance(tunnel, Tunnel)
        tunnel.wanted.append(wanted)
        with socket.create_connection(("127.0.0.1", tunnel.port)) as other:
            self.connection.sendall(answer)
            there = threading.Thread(target=carry, args=(self.connection, other), daemon=True)
            there.start()
            carry(other, self.connection)
            there.join()


def carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction has ended both


class Connect(Through):
    """HTTP's CONNECT."""

    def handle(self) -> None:
        wanted = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        assert wanted[0] == "CONNECT"
        self.lead(wanted[1], b"HTTP/1.1 200 OK\r\n\r\n")


class Socks(Through):
    """SOCKS 5 without a password, to a name (RFC 1928)."""

    def handle(self) -> None:
        version, methods = self.rfile.read(2)
        self.rfile.read(methods)
        self.connection.sendall(b"\x05\x00")
        request = self.rfile.read(5)
        assert (version, request[:4]) == (5, b"\x05\x01\x00\x03")
        name = self.rfile.read(request[4]).decode()
        port = int.from_bytes(self.rfile.read(2), "big")
        self.lead(f"{name}:{port}", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")


@pytest.mark.parametrize(
    ("handler", "variable", "scheme"),
    [
        (Connect, "HTTPS_PROXY", "http"),
        (Connect, "https_proxy", "http"),
        (Connect, "ALL_PROXY", "http"),
        (Socks, "HTTPS_PROXY", "socks5h"),
        (Socks, "ALL_PROXY", "socks5h"),
    ],
)
def test_tls_through_a_proxy(
    server: http.server.ThreadingHTTPServer,
    authority: Path,
    handler: type[Through],
    variable: str,
    scheme: str,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "leaf.pem", authority / "leaf.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with Tunnel(handler, server.server_port) as tunnel:
        threading.Thread(target=tunnel.serve_forever, daemon=True).start()
        proxy = {variable: f"{scheme}://127.0.0.1:{tunnel.server_address[1]}"}
        url = "https://lime.invalid/api/v1"
        assert ask(url, SSL_CERT_FILE=str(authority / "ca.pem"), **proxy) == "a"
        assert tunnel.wanted == ["lime.invalid:443"]
        tunnel.shutdown()


def test_plain_http_through_socks(server: http.server.ThreadingHTTPServer) -> None:
    with Tunnel(Socks, server.server_port) as tunnel:
        threading.Thread(target=tunnel.serve_forever, daemon=True).start()
        proxy = f"socks5h://127.0.0.1:{tunnel.server_address[1]}"
        assert ask("http://lime.invalid/api/v1", ALL_PROXY=proxy) == "a"
        assert tunnel.wanted == ["lime.invalid:80"]
        tunnel.shutdown()


def test_nothing_stands_between_us_and_this_machine(server: http.server.ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}/api/v1"
    assert ask(url, HTTP_PROXY="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1") == "a"
