"""Webhooks verified: ``webhook.py BYTES``. The same program for the published package and for ours."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time

import turns

from sesame_sdk import verify_webhook

SECRET = "whsec_bench"
payload: dict[str, object] = {
    "approval_id": "ap_0123456789abcdef",
    "action": "payments.refund",
    "status": "approved",
    "decided_at": "2026-01-01T00:00:00Z",
    "requester_label": "agent",
}
# What a large one holds is records: the operation's context.
orders: list[dict[str, object]] = []
payload["context"] = {"orders": orders}
record = {
    "id": 0,
    "customer": "cus_0123456789",
    "amount": 42.5,
    "currency": "EUR",
    "paid": True,
    "note": None,
}
missing = int(sys.argv[1]) - len(json.dumps(payload))
for number in range(missing // (len(json.dumps(record)) + 2)):
    orders.append({**record, "id": number, "customer": f"cus_{number:010}", "amount": number / 4})
body = json.dumps(payload).encode()


def work(count: int) -> None:
    """Verify, and look at what came back."""
    # As a receiver behind a proxy gets them.
    headers = {
        "Host": "shop.example",
        "User-Agent": "sesame-broker/1.4",
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Sesame-Timestamp": str(int(time.time())),
        "X-Sesame-Signature": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
    }
    for _ in range(count):
        assert verify_webhook(headers, body, SECRET)["status"] == "approved"


turns.serve(work)
