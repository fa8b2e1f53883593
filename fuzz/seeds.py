"""Writes inputs for the fuzz targets that are made of the shared vectors: what the corpora began with.

Usage: python3 fuzz/seeds.py FOLDER, where each target gets a folder. `fuzz/run.sh minimise` keeps of them, and of what
was found since, what the committed corpora have.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parents[1] / "tests/vectors"
BETWEEN = b"\xff"
# The clock of the vectors' tokens, and that of the targets.
THERE, HERE = 1_750_000_000, 1000
STATUSES = (200, 201, 202, 400, 401, 403, 404, 409, 429, 500, 503, 599)


def cases(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())["cases"]


def raw(case: dict[str, Any], name: str) -> bytes:
    if f"{name}_base64" in case:
        return base64.b64decode(case[f"{name}_base64"])
    return str(case[name]).encode()


def segments(jwt: str) -> tuple[bytes, bytes] | None:
    """Header and payload of a token of the vectors, with the targets' clock and key."""
    parts = jwt.split(".")
    if len(parts) != 3:
        return None
    try:
        header, payload = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts[:2])
    except ValueError:
        return None
    header = header.replace(b'"key-2025-06"', b'"k1"')
    for distance in range(-400, 401):
        payload = payload.replace(str(THERE + distance).encode(), str(HERE + distance).encode())
    return header, payload


def passports(name: str, settings: int) -> list[bytes]:
    found = []
    for case in cases(name):
        if (taken := segments(case["jwt"])) is None:
            found.append(bytes([0, settings, 40, 0]) + case["jwt"].encode())
            continue
        flags = settings | 4 * case.get("require_issuer", False)
        flags |= 2 * bool({"expected_request_id", "expected_binding_id"} & case.keys())
        late = max(0, min(255, int(case["now"]) - THERE + HERE - 960))
        found.append(bytes([1, flags, late, 0]) + BETWEEN.join(taken))
    return found


def jwks() -> list[bytes]:
    keys = json.loads((VECTORS / "keys.json").read_text())["keys"]

    def jwk(name: str, **more: Any) -> dict[str, Any]:
        usual = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1"}
        return {**usual, "n": keys[name]["n"], "e": keys[name]["e"], **more}

    one, two = jwk("main"), jwk("attacker", kid="k2")
    lists: list[Any] = [
        *([], [one], [one, two], [two, one], [jwk("attacker"), one], [one, one], [{}], [None, one, "x"]),
        *([jwk("rsa1024"), one], [jwk("rsa2047"), one], [jwk("e3")], [jwk("rsa512")]),
        *([jwk("main", use="enc"), two], [jwk("main", alg="RS384")], [jwk("main", kty="oct")]),
        *(
            [jwk("main", kid="")],
            [jwk("main", kid=1)],
            [jwk("main", e="AQ")],
            [jwk("main", n=one["n"] + "=")],
        ),
        *([jwk("main", e="AAEAAQ")], [{k: v for k, v in one.items() if k not in ("use", "alg")}]),
    ]
    documents: list[Any] = [{"keys": keys} for keys in lists]
    documents += [
        {"ok": True, "data": {"keys": [one]}},
        {"keys": 1, "data": {"keys": [one]}},
        {"data": {}},
        [],
    ]
    return [json.dumps(document, separators=(",", ":")).encode() for document in documents]


def roots() -> list[bytes]:
    texts = (
        *(
            "https://lime.pics/api/v1",
            "http://127.0.0.1:8080/api/v1/",
            "https://[::1]",
            "https://LIME.pics//a//b/",
        ),
        *(
            "https://lime.pics/a/../b",
            "https://lime.pics/%2e%2e/x",
            "https://u:p@lime.pics",
            "https://lime.pics?a",
        ),
        *(
            "https://lime.pics#f",
            "ftp://lime.pics",
            "https://b\u00fccher.example/\u00e9",
            "https://lime.pics\\a",
            "",
        ),
        *("https://lime.pics/a b", "https://1/x", " https://lime.pics/api/v1 ", "https://lime.pics/a;b=c"),
    )
    ids = (
        "lr_1",
        "../x",
        "..",
        ".",
        "%2e%2e",
        "a/b",
        "a?b",
        "a#b",
        "\u00e9 \U0001f34b",
        " lr_1 ",
        "",
        "a\\b",
        "a" * 257,
    )
    targets = [case["target"] for case in cases("mcp_targets")][:40]
    found = [bytes([n % 6]) + root.encode() + BETWEEN + b"lr_1" for n, root in enumerate(texts)]
    found += [bytes([n % 4]) + texts[0].encode() + BETWEEN + one.encode() for n, one in enumerate(ids)]
    return found + [bytes([6]) + BETWEEN + target.encode() for target in targets]


def tokens() -> list[bytes]:
    found = []
    for case in cases("access_tokens"):
        taken = segments(case["jwt"])
        found.append(bytes([3]) + case["jwt"].encode() if taken is None else bytes([5]) + BETWEEN.join(taken))
    found += [bytes([0]) + case["domain"].encode() for case in cases("mcp_domains")]
    headers = ("Bearer a.b.c", "bearer\t a.b.c ", "Basic YTpi", "Bearer", "", 'Bearer "\\')
    found += [bytes([1]) + header.encode() for header in headers]
    found.append(bytes([1]) + b"Bearer a" + BETWEEN + b"Bearer b")
    for uri in (
        "/keys",
        "https://lime.pics/a?b#c",
        "//evil.example/a",
        "a/../b",
        "https://lime.pics@evil/",
        "\\\\evil/a",
    ):
        document: dict[str, Any] = {
            "issuer": "https://lime.pics",
            "jwks_uri": uri,
            "grant_types_supported": [],
        }
        found.append(bytes([2]) + json.dumps(document).encode())
        found.append(bytes([2]) + json.dumps(document).encode() + BETWEEN + b"https://lime.pics/base")
    return found


def envelopes() -> list[bytes]:
    found = []
    for case in cases("envelopes"):
        status = case["http_status"]
        head = [1, STATUSES.index(status)] if status in STATUSES else [0, min(255, max(0, status - 100))]
        found.append(bytes(head) + raw(case, "body"))
    return found


def by_chance(count: int, length: int) -> list[bytes]:
    chance = random.Random(9)
    return [chance.randbytes(chance.randrange(length)) for _ in range(count)]


SEEDS = {
    "abi": lambda: by_chance(40, 700),
    "base_url": roots,
    "envelope": envelopes,
    "jwks": jwks,
    "mcp": lambda: by_chance(60, 500),
    "passport": lambda: passports("passports", 0) + passports("bindings", 1),
    "pow": lambda: by_chance(40, 40),
    "sse": lambda: [raw(case, "input") for case in cases("sse")],
    "timestamp": lambda: [case["text"].encode() for case in cases("timestamps")],
    "token": tokens,
}


def main() -> None:
    """Write every seed into the folder of its target, by its hash."""
    for target, make in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for seed in make():
            if len(seed) <= 4096:
                (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main()
