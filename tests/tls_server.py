"""A platform over TLS that answers a few calls, with the certificates of tests/tls; it notes what it was asked."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import warnings
from pathlib import Path
from typing import Any

TLS = Path(__file__).resolve().parent / "tls"
ROOTS = str(TLS / "roots.pem")
PINS: dict[str, str] = json.loads((TLS / "pins.json").read_text())
LATER = "2126-01-01T00:00:00Z"


def answer(path: str, origin: str) -> tuple[int, Any]:
    """What the platform and the broker say."""
    if path == "/api/v1/modules/agent-login/requests":
        data = {"login_request_id": "lr_1", "status": "PENDING", "expires_at": LATER}
        return 201, {"ok": True, "data": data}
    if path == "/api/v1/core/agents/me/profile":
        return 200, {"ok": True, "data": {"agent_id": "agt_1", "owner_id": "usr_1"}}
    if path.startswith("/v1/approvals/"):
        return 200, {"approval_id": path.rsplit("/", 1)[1], "status": "pending"}
    if path == "/api/v1/modules/oauth/.well-known/oauth-authorization-server":
        return 200, {"issuer": origin, "jwks_uri": f"{origin}/keys"}
    if path == "/keys":
        return 200, {"keys": [{"kid": "of nobody"}]}
    return 404, {}


class TlsServer:
    """For the time of a ``with``; ``certificate`` is the name of a file without its ``.pem``."""

    def __init__(self, certificate: str = "good", version: ssl.TLSVersion | None = None) -> None:
        self.requests: list[str] = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                requests.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("content-length", 0)))
                status, said = answer(self.path, server.origin)
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        server = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key = "next_key" if certificate == "next" else "key"
        context.load_cert_chain(TLS / f"{certificate}.pem", TLS / f"{key}.pem")
        if version is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = version
            context.set_ciphers("ALL:@SECLEVEL=0")

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: Any, client_address: Any) -> None:
                try:
                    with context.wrap_socket(request, server_side=True) as wrapped:
                        self.RequestHandlerClass(wrapped, client_address, self)
                except OSError:
                    pass  # the other side has looked at the certificate and has gone

        self._server = Server(("127.0.0.1", 0), Handler)
        self.origin = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """What points a program at it."""
        return {
            "SSL_CERT_FILE": ROOTS,
            "LIME_API_BASE": f"{self.origin}/api/v1",
            "LIME_BASE_URL": self.origin,
            "LIME_EXPECTED_DOMAIN": "tools.example.com",
            "LIME_SITE_TOKEN": "st_x",
            "LIME_AGENT_TOKEN": "at_x",
            "SESAME_BROKER_URL": self.origin,
            "SESAME_API_KEY": "sk_x",
            "TLS_GOOD_PIN": PINS["good"],
            "TLS_OTHER_PIN": PINS["other"],
        }

    def __enter__(self) -> TlsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)
