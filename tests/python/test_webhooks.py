"""Webhooks as Python programs meet them: the shapes of headers and bodies, and the examples' servers.

What is verified and what is refused is in the shared vectors.
"""

from __future__ import annotations

import email.message
import hashlib
import hmac
import http.client
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, Sandbox

from sesame_sdk import (
    ApprovalError,
    ReplayGuard,
    Sesame,
    WebhookBodyError,
    WebhookVerificationError,
    sign_webhook,
    verify_webhook,
)

SECRET = "whsec_test"
BODY = json.dumps(
    {
        "approval_id": "ap_1",
        "action": "a",
        "status": "approved",
        "decided_at": "2026-11-24T10:00:00Z",
        "ä": [1.5],
    },
    ensure_ascii=False,
).encode()
NOW = 1_795_514_400  # 2026-11-24T10:00:00Z


def signed(body: bytes = BODY, secret: str = SECRET) -> tuple[str, str]:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), str(NOW)


SIGNATURE, TIMESTAMP = signed()


def message() -> http.client.HTTPMessage:
    made = http.client.HTTPMessage()
    made["X-Sesame-Signature"] = SIGNATURE
    made["x-sesame-timestamp"] = TIMESTAMP
    return made


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Sesame-Signature": SIGNATURE, "X-Sesame-Timestamp": TIMESTAMP},
        {"x-sesame-signature": SIGNATURE, "X-SESAME-TIMESTAMP": TIMESTAMP, "host": "h", "ü": "ü"},
        {b"x-sesame-signature": SIGNATURE.encode(), b"x-sesame-timestamp": TIMESTAMP.encode()},
        {"x-sesame-signature": SIGNATURE, "x-sesame-timestamp": NOW},
        {"x-sesame-signature": [SIGNATURE], "x-sesame-timestamp": (TIMESTAMP,)},
        [("x-sesame-signature", SIGNATURE), (b"x-sesame-timestamp", TIMESTAMP)],
        iter([("x-sesame-signature", SIGNATURE), ("x-sesame-timestamp", TIMESTAMP)]),
        {
            "HTTP_X_SESAME_SIGNATURE": SIGNATURE,
            "HTTP_X_SESAME_TIMESTAMP": TIMESTAMP,
            "wsgi.input": io.BytesIO(),
            "wsgi.version": (1, 0),
        },
        message(),
    ],
)
def test_shapes_of_headers(headers: Any) -> None:
    payload = verify_webhook(headers, BODY, SECRET, now=NOW)
    assert payload == json.loads(BODY)


@pytest.mark.parametrize("body", [BODY, BODY.decode(), bytearray(BODY), memoryview(BODY)])
def test_shapes_of_bodies(body: Any) -> None:
    headers = {"X-Sesame-Signature": SIGNATURE, "X-Sesame-Timestamp": TIMESTAMP}
    assert verify_webhook(headers, body, SECRET.encode(), now=lambda: NOW)["approval_id"] == "ap_1"


@pytest.mark.parametrize("body", [json.loads(BODY), [], 1, None, io.BytesIO(BODY)])
def test_a_body_that_is_not_raw_says_what_to_pass(body: Any) -> None:
    headers = {"X-Sesame-Signature": SIGNATURE, "X-Sesame-Timestamp": TIMESTAMP}
    with pytest.raises(WebhookBodyError, match=r"raw bytes of the request.*request\.get_data") as caught:
        verify_webhook(headers, body, SECRET, now=NOW)
    assert isinstance(caught.value, (WebhookVerificationError, TypeError))


def with_headers(**more: Any) -> dict[str, Any]:
    return {"x-sesame-signature": SIGNATURE, "x-sesame-timestamp": TIMESTAMP, **more}


class Raising:
    def items(self) -> Any:
        raise KeyError("on purpose")


def raising() -> Iterator[Any]:
    yield ("x-sesame-signature", SIGNATURE)
    raise RuntimeError("on purpose")


def changing() -> dict[str, Any]:
    """Headers whose values change them while they are read."""
    headers: dict[str, Any] = {}

    class Values(list[str]):
        def __iter__(self) -> Iterator[str]:
            headers[str(len(headers))] = "more"
            return iter(())

    headers.update({"x-sesame-signature": Values(), "x-sesame-timestamp": Values()})
    return headers


def released() -> memoryview:
    view = memoryview(BODY)
    view.release()
    return view


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (({}, BODY, SECRET), {}, "missing_header"),
        ((None, BODY, SECRET), {}, "missing_header"),
        (({"x-sesame-signature": None, "x-sesame-timestamp": None}, BODY, SECRET), {}, "missing_header"),
        (({"x-sesame-signature": [SIGNATURE] * 2, "x-sesame-timestamp": "1"}, BODY, SECRET), {}, "malformed_header"),
        (({"x-sesame-signature": "é" * 64, "x-sesame-timestamp": "1"}, BODY, SECRET), {}, "malformed_header"),
        (({"x-sesame-signature": "\udc80" * 64, "x-sesame-timestamp": "1"}, BODY, SECRET), {}, "malformed_header"),
        (({"x-sesame-signature": SIGNATURE, "x-sesame-timestamp": "1_795_514_400"}, BODY, SECRET), {}, "malformed_header"),
        (({"x-sesame-signature": SIGNATURE, "x-sesame-timestamp": "１７９５５１４４００"}, BODY, SECRET), {}, "malformed_header"),
        ((with_headers(), BODY, ""), {}, "empty_secret"),
        ((with_headers(), BODY, None), {}, "empty_secret"),
        ((with_headers(), BODY, []), {}, "empty_secret"),
        ((with_headers(), BODY, [SECRET, None]), {}, "empty_secret"),
        ((with_headers(), BODY, 5), {}, "empty_secret"),
        ((with_headers(), BODY, [5]), {}, "empty_secret"),
        ((5, BODY, SECRET), {}, "missing_header"),
        (([5, ("x",), "xy", (1, 2)], BODY, SECRET), {}, "missing_header"),
        ((with_headers(), BODY, {"k": SECRET}), {}, "empty_secret"),
        ((Raising(), BODY, SECRET), {}, "invalid_argument"),
        ((raising(), BODY, SECRET), {}, "invalid_argument"),
        ((changing(), BODY, SECRET), {}, "missing_header"),
        ((with_headers(), BODY, raising()), {}, "invalid_argument"),
        ((with_headers(), released(), SECRET), {}, "invalid_argument"),
        ((with_headers(), BODY, SECRET), {"tolerance": "many"}, "invalid_argument"),
        ((with_headers(), BODY, SECRET), {"tolerance": None}, "invalid_argument"),
        ((with_headers(), BODY, SECRET), {"tolerance": 10**400}, "invalid_argument"),
        ((with_headers(), BODY, SECRET), {"now": "soon"}, "invalid_argument"),
        ((with_headers(), BODY, SECRET), {"now": 1e300}, "too_old"),
        ((with_headers(), BODY, SECRET), {"replay_guard": True}, "invalid_argument"),
        ((with_headers(), BODY + b" ", SECRET), {}, "mismatch"),
        ((with_headers(), "\udc80", SECRET), {}, "mismatch"),
        ((with_headers(), BODY, "other"), {}, "mismatch"),
        ((with_headers(), BODY, SECRET), {"now": NOW + 301}, "too_old"),
        ((with_headers(), BODY, SECRET), {"now": NOW - 301}, "too_new"),
        ((with_headers(), BODY, SECRET), {"now": -1.0}, "too_new"),
        ((with_headers(), BODY, SECRET), {"now": float("nan")}, "invalid_argument"),
        ((with_headers(), BODY, SECRET), {"tolerance": -1}, "invalid_argument"),
        ((with_headers(), BODY, SECRET), {"tolerance": float("nan")}, "invalid_argument"),
    ],
)  # fmt: skip
def test_refusals(arguments: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(WebhookVerificationError) as caught:
        verify_webhook(*arguments, **{"now": NOW, **options})
    assert caught.value.reason == reason
    assert isinstance(caught.value, ApprovalError)


def test_the_clock_is_the_programs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WebhookVerificationError):
        verify_webhook(with_headers(), BODY, SECRET)
    monkeypatch.setattr(time, "time", lambda: NOW + 300.0)
    verify_webhook(with_headers(), BODY, SECRET)
    verify_webhook(with_headers(), BODY, SECRET, now=0.0, tolerance=float("inf"))
    assert sign_webhook(BODY, SECRET)["X-Sesame-Timestamp"] == str(NOW + 300)


def test_signing_goes_there_and_back() -> None:
    headers = sign_webhook(BODY, SECRET, timestamp=NOW + 0.9)
    assert headers == {"X-Sesame-Signature": SIGNATURE, "X-Sesame-Timestamp": TIMESTAMP}
    assert verify_webhook(sign_webhook(BODY.decode(), SECRET.encode()), BODY, ["new", SECRET])
    with pytest.raises(WebhookVerificationError):
        sign_webhook(BODY, " ")


def test_values_are_those_of_json_loads() -> None:
    body = json.dumps(
        {
            "numbers": [2**64, -(2**63) - 1, 10**40, 0, -1, 1.5, -0.0, 1e300, 5e-324, 0.1],
            "texts": ["", "\u0000", "\u20ac", "\U0001f34b", '"\\\n'],
            "rest": {"null": None, "true": True, "false": False, "empty": [{}, []]},
        }
    ).encode()
    body = body[:-1] + b', "zero": -0, "twice": 1, "twice": 2, "exponent": 1E+2}'
    verified = verify_webhook(sign_webhook(body, "s"), body, "s")
    # As texts, since 0 == -0.0 and 1 == True.
    assert repr(verified) == repr(json.loads(body))


def test_a_guard_lets_a_body_in_once() -> None:
    guard = ReplayGuard(horizon=3600)
    assert verify_webhook(with_headers(), BODY, SECRET, now=NOW, replay_guard=guard)
    fresh = sign_webhook(BODY, SECRET, timestamp=NOW + 200)
    with pytest.raises(WebhookVerificationError) as caught:
        verify_webhook(fresh, BODY, SECRET, now=NOW + 200, replay_guard=guard)
    assert caught.value.reason == "replayed"
    assert guard.forget(BODY)
    assert verify_webhook(fresh, BODY, SECRET, now=NOW + 200, replay_guard=guard)
    with pytest.raises(WebhookVerificationError) as caught:
        verify_webhook(
            sign_webhook(BODY, SECRET, timestamp=NOW + 4000), BODY, SECRET, now=NOW + 4000, replay_guard=guard
        )
    assert caught.value.reason == "undatable"
    with pytest.raises(ValueError, match="horizon"):
        ReplayGuard(horizon=-1)


def test_many_threads_let_one_in() -> None:
    guard = ReplayGuard()
    outcomes: list[str | None] = []

    def deliver() -> None:
        try:
            verify_webhook(with_headers(), BODY, SECRET, now=NOW, replay_guard=guard)
            outcomes.append("let in")
        except WebhookVerificationError as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=deliver) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["let in", *["replayed"] * 15]


@pytest.fixture(params=["main_flask.py", "main_fastapi.py"])
def receiver(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "examples/webhook_receiver" / request.param)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ,
    )
    assert process.stdout is not None
    yield process.stdout.readline().rstrip("\n").removeprefix("listening\t"), process
    process.terminate()
    process.wait(timeout=30)
    process.stdout.close()


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_decision_arrives_and_a_tampered_one_does_not(
    sandbox: Sandbox, receiver: tuple[str, subprocess.Popen[str]]
) -> None:
    url, process = receiver
    assert process.stdout is not None
    with Sesame() as client:
        approval = client.approvals.trigger("payments.refund", "Refund", callback_url=url, dedup_key="d-1")
        sandbox.control("POST", f"/approvals/{approval.approval_id}/decision", {"decision": "approved"})
        assert process.stdout.readline() == f"webhook verified\t{approval.approval_id} approved\n"
        (sent,) = sandbox.control("GET", "/webhooks?min=1&wait_ms=20000")["webhooks"]
    assert (sent["status"], sent["delivered"]) == (204, True)
    body = sent["body"].encode()
    headers = {"X-Sesame-Signature": sent["signature"], "X-Sesame-Timestamp": str(sent["timestamp"])}
    assert post(url, body.replace(b"approved", b"denied"), headers) == 400
    assert process.stdout.readline() == "webhook refused\tmismatch\n"
    assert post(url, body, headers) == 204
    assert process.stdout.readline() == "webhook repeated\n"
    assert post(url, body, {}) == 400
    assert process.stdout.readline() == "webhook refused\tmissing_header\n"


def test_a_delivery_whose_answer_got_lost_is_done_with_the_next_one(
    sandbox: Sandbox, receiver: tuple[str, subprocess.Popen[str]]
) -> None:
    url, process = receiver
    assert process.stdout is not None
    passed_on: list[int] = []

    class LosesTheFirstAnswer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            passed_on.append(post(url, body, dict(self.headers)))
            self.close_connection = True
            if len(passed_on) > 1:
                self.send_response(passed_on[-1])
                self.end_headers()

        def log_message(self, *args: object) -> None: ...

    sandbox.settings(webhook_retry_seconds=[0.01])
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), LosesTheFirstAnswer) as between,
        Sesame() as client,
    ):
        threading.Thread(target=between.serve_forever, daemon=True).start()
        callback = f"http://127.0.0.1:{between.server_port}/"
        approval = client.approvals.trigger("payments.refund", "Refund", callback_url=callback)
        sandbox.decide(approval)
        attempts = sandbox.webhooks(approval, at_least=2)
        between.shutdown()
    assert passed_on == [204, 204]
    assert [(sent["status"], sent["delivered"]) for sent in attempts] == [("failed", False), (204, True)]
    told = [process.stdout.readline() for _ in range(2)]
    assert told == [f"webhook verified\t{approval.approval_id} approved\n", "webhook repeated\n"]


def test_an_email_message_is_a_mapping_too() -> None:
    headers = email.message.Message()
    headers["X-Sesame-Signature"] = SIGNATURE
    headers["X-Sesame-Signature"] = SIGNATURE
    headers["X-Sesame-Timestamp"] = TIMESTAMP
    with pytest.raises(WebhookVerificationError) as caught:
        verify_webhook(headers, BODY, SECRET, now=NOW)
    assert caught.value.reason == "malformed_header"
