#!/usr/bin/env python3
"""Generate the shared test vectors of lime (see README.md in this directory).

    python tests/vectors/generate.py            write the files
    python tests/vectors/generate.py --check    exit 1 when a committed file differs
    python tests/vectors/generate.py --make-keys   create keys.json (only when absent)

The expectations never come from lime itself: they come from hashlib, json, datetime,
PyJWT + cryptography, and from rules written down by hand from the protocol. Every
hand-written expectation is checked here against a second, plain implementation of the
same rule, so a slip in either of them stops the generator.

Re-running gives the same bytes: RSA keys live in keys.json (TEST ONLY) and RS256
signatures are deterministic.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import math
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from jwt.algorithms import RSAAlgorithm

HERE = Path(__file__).resolve().parent
KEYS_FILE = HERE / "keys.json"


class Cases:
    """A list of cases with unique, speaking ids."""

    def __init__(self) -> None:
        self.items: list[dict] = []
        self.ids: set[str] = set()

    def add(self, case_id: str, **fields: object) -> dict:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", case_id), case_id
        assert case_id not in self.ids, f"duplicate id {case_id}"
        self.ids.add(case_id)
        case = {"id": case_id, **fields}
        self.items.append(case)
        return case


# --------------------------------------------------------------------------- pow.json

POW_PREFIX = b"lime:pow:v1\0"


def pow_message(digest: str, challenge: str, nonce: int) -> bytes:
    text = str(nonce).encode()
    if digest == "seed":
        return challenge.encode() + text
    return POW_PREFIX + challenge.encode() + b"\0" + text


def pow_brute(digest: str, challenge: str, difficulty: int, stop: int | None = None) -> int | None:
    """The smallest nonce, by trying all of them; None when it is not below `stop`."""
    base = pow_message(digest, challenge, 0)[:-1]
    threshold = 1 << (256 - difficulty)
    nonce = 0
    while stop is None or nonce < stop:
        value = hashlib.sha256(base + str(nonce).encode()).digest()
        if int.from_bytes(value, "big") < threshold:
            return nonce
        nonce += 1
    return None


def pow_text(length: int, counter: int) -> str:
    """ASCII challenge of exactly `length` characters; `counter` makes it vary."""
    seed = hashlib.sha256(f"lime pow vector {length} {counter}".encode()).hexdigest()
    out = "lr" + seed
    while len(out) < length:
        seed = hashlib.sha256(seed.encode()).hexdigest()
        out += seed
    return out[len(out) - length :] if length < 3 else out[:length]


# digits of the nonce -> (difficulty, lowest nonce, one past the highest). Windows sit just
# past the carry (9 -> 10, 99 -> 100, ...): that is where the message grows by a byte, and it
# keeps the work of a debug build small.
POW_WINDOWS = {
    1: (2, 1, 10),
    2: (5, 10, 40),
    3: (8, 100, 300),
    4: (11, 1000, 3000),
    5: (14, 10000, 16000),
    6: (17, 100000, 140000),
}


def pow_find_challenge(digest: str, length: int, digits: int) -> tuple[str, int, int]:
    difficulty, low, high = POW_WINDOWS[digits]
    for counter in range(100000):
        challenge = pow_text(length, counter)
        assert len(challenge) == length
        nonce = pow_brute(digest, challenge, difficulty, high)
        if nonce is not None and nonce >= low:
            return challenge, difficulty, nonce
    raise AssertionError("no challenge found")


def make_pow() -> dict:
    c = Cases()

    def solved(case_id: str, digest: str, challenge: str, difficulty: int) -> None:
        nonce = 0 if difficulty <= 0 else pow_brute(digest, challenge, difficulty)
        c.add(case_id, challenge=challenge, digest=digest, difficulty=difficulty, nonce=str(nonce))

    for digest in ("seed", "today"):
        for difficulty, name in (
            (0, "zero"),
            (-1, "minus-one"),
            (-5, "minus-five"),
            (-2147483648, "int-min"),
        ):
            solved(f"{digest}-difficulty-{name}-gives-0", digest, "lr_easy", difficulty)
        c.add(
            f"{digest}-difficulty-zero-needs-no-time",
            challenge="lr_easy",
            digest=digest,
            difficulty=0,
            timeout_ms=0,
            nonce="0",
        )
        solved(f"{digest}-empty-challenge", digest, "", 9)
        solved(f"{digest}-one-character", digest, "x", 10)
        for difficulty in (1, 2, 3, 4, 7, 8, 9, 12):
            solved(f"{digest}-difficulty-{difficulty}", digest, "challenge-abc", difficulty)
        solved(f"{digest}-production-difficulty-15", digest, "pow_9f2c7d1a4b", 15)
        solved(f"{digest}-difficulty-16", digest, "pow_sixteen", 16)
        for length in (31, 32, 100, 200, 1000):
            solved(f"{digest}-challenge-of-{length}-bytes", digest, pow_text(length, 7), 8)
        # a digit at the end must not be taken for part of the nonce
        for challenge in ("ends-with-1", "ends-with-12", "0", "00", "1234567890"):
            solved(f"{digest}-digits-{challenge.removeprefix('ends-with-')}-at-the-end", digest, challenge, 8)
        solved(f"{digest}-two-byte-characters", digest, "Gr\u00fc\u00dfe-caf\u00e9", 8)
        solved(f"{digest}-three-byte-characters", digest, "\u6311\u6226\u2603", 8)
        solved(f"{digest}-four-byte-characters", digest, "\U0001f34b\U0001f600 lime", 8)
        solved(
            f"{digest}-four-byte-character-across-the-block",
            digest,
            "a" * (62 if digest == "seed" else 50) + "\U0001f34b",
            8,
        )
        solved(f"{digest}-decomposed-not-normalised", digest, "cafe\u0301", 8)
        solved(f"{digest}-quotes-backslash-newline-kept", digest, 'a"b\\c\r\nd\te ', 8)

    # The padding of SHA-256 needs 9 bytes: 55 -> 56 opens another block, 64 -> 65 too.
    # seed message = challenge + nonce; today's = 12 + challenge + 1 + nonce.
    for digest, lengths in (
        ("seed", (47, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128)),
        ("today", (41, 42, 43, 50, 51, 52, 55, 64, 106, 107, 115, 128)),
    ):
        for index, length in enumerate(lengths):
            # the lengths next to the first boundary get all digit counts, the rest two each
            all_digits = length in ((54, 55, 63, 64) if digest == "seed" else (41, 42, 50, 51))
            for digits in (1, 2, 3, 4, 5) if all_digits else (1 + index % 4, 2 + index % 3):
                if f"{digest}-length-{length}-nonce-of-{digits}-digits" in c.ids:
                    continue
                challenge, difficulty, nonce = pow_find_challenge(digest, length, digits)
                assert len(str(nonce)) == digits
                c.add(
                    f"{digest}-length-{length}-nonce-of-{digits}-digits",
                    challenge=challenge,
                    digest=digest,
                    difficulty=difficulty,
                    nonce=str(nonce),
                )
        for length in (50,) if digest == "seed" else (37,):
            challenge, difficulty, nonce = pow_find_challenge(digest, length, 6)
            assert len(str(nonce)) == 6
            c.add(
                f"{digest}-length-{length}-nonce-of-6-digits",
                challenge=challenge,
                digest=digest,
                difficulty=difficulty,
                nonce=str(nonce),
            )

    for digest in ("seed", "today"):
        for difficulty in (257, 1000, 2147483647):
            c.add(
                f"{digest}-difficulty-{difficulty}-refused",
                challenge="lr_impossible",
                digest=digest,
                difficulty=difficulty,
                error="pow_difficulty",
            )
        c.add(
            f"{digest}-difficulty-257-refused-before-the-clock",
            challenge="lr_impossible",
            digest=digest,
            difficulty=257,
            timeout_ms=0,
            error="pow_difficulty",
        )
        for ms in (0, 1):
            c.add(
                f"{digest}-times-out-after-{ms}-ms",
                challenge="lr_hard",
                digest=digest,
                difficulty=60,
                timeout_ms=ms,
                error="pow_timeout",
            )
        c.add(
            f"{digest}-difficulty-256-is-tried-not-refused",
            challenge="lr_hard",
            digest=digest,
            difficulty=256,
            timeout_ms=1,
            error="pow_timeout",
        )

    for case in c.items:  # once more, from scratch
        if "nonce" in case and case["difficulty"] > 0:
            limit = 2 ** (256 - case["difficulty"])
            message = (
                case["challenge"] if case["digest"] == "seed" else "lime:pow:v1\0" + case["challenge"] + "\0"
            ) + case["nonce"]
            assert int(hashlib.sha256(message.encode()).hexdigest(), 16) < limit
    return {
        "about": "Proof of work: smallest decimal nonce for a challenge. digest 'seed' is "
        "SHA-256(challenge + nonce), 'today' is SHA-256('lime:pow:v1' NUL challenge NUL nonce). "
        "See README.md.",
        "cases": c.items,
    }


# --------------------------------------------------------------------------- keys.json

TEST_ONLY = (
    "TEST ONLY. These private keys are public: they sign the vectors in passports.json and must "
    "never protect anything. Made once by generate.py --make-keys."
)


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64u_int(value: int) -> str:
    return b64u(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def int_b64u(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def make_keys() -> dict:
    import secrets

    def prime(bits: int) -> int:
        while True:
            n = secrets.randbits(bits) | (3 << (bits - 2)) | 1
            if all(n % p for p in (3, 5, 7, 11, 13, 17, 19, 23)) and all(
                pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7, 11, 13, 17)
            ):
                return n

    def by_hand(bits: int, e: int = 65537) -> dict:
        while True:
            p, q = prime(bits // 2 + bits % 2), prime(bits // 2)
            if bits % 2:  # 2047: strip a bit
                q = prime(bits - p.bit_length())
            n, phi = p * q, (p - 1) * (q - 1)
            if n.bit_length() == bits and math.gcd(e, phi) == 1 and p != q:
                d = pow(e, -1, phi)
                return numbers(n, e, d, p, q)

    def numbers(n: int, e: int, d: int, p: int, q: int) -> dict:
        return {
            "kty": "RSA",
            "n": b64u_int(n),
            "e": b64u_int(e),
            "d": b64u_int(d),
            "p": b64u_int(p),
            "q": b64u_int(q),
            "dp": b64u_int(d % (p - 1)),
            "dq": b64u_int(d % (q - 1)),
            "qi": b64u_int(pow(q, -1, p)),
        }

    def generated(bits: int, e: int = 65537) -> dict:
        k = rsa.generate_private_key(e, bits).private_numbers()
        return numbers(k.public_numbers.n, e, k.d, k.p, k.q)

    keys = {
        "main": generated(2048),
        "second": generated(2048),
        "rotated": generated(2048),
        "attacker": generated(2048),
        "e3": generated(2048, 3),
        "rsa3072": generated(3072),
        "rsa4096": generated(4096),
        "rsa8192": generated(8192),
        "rsa8208": generated(8208),
        "rsa1024": generated(1024),
        "rsa512": by_hand(512),
        "rsa2047": by_hand(2047),
    }
    return {"about": TEST_ONLY, "keys": keys}


# --------------------------------------------------------------------------- passports.json

NOW = 1750000000
ROOT = "https://lime.pics/api/v1"
KID = "key-2025-06"
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


class Keys:
    def __init__(self) -> None:
        self.jwks = json.loads(KEYS_FILE.read_text())["keys"]
        self.loaded: dict = {}

    def n(self, name: str) -> int:
        return int_b64u(self.jwks[name]["n"])

    def public(self, name: str, kid: object = KID, **extra: object) -> dict:
        key = self.jwks[name]
        out: dict = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": key["n"], "e": key["e"]}
        out.update(extra)
        return {k: v for k, v in out.items() if v is not None}

    def private(self, name: str):
        if name not in self.loaded:
            self.loaded[name] = RSAAlgorithm.from_jwk(json.dumps(self.jwks[name]))
        return self.loaded[name]

    def public_pem(self, name: str, fmt=serialization.PublicFormat.SubjectPublicKeyInfo) -> bytes:
        return self.private(name).public_key().public_bytes(serialization.Encoding.PEM, fmt)


def emsa_pkcs1(message: bytes, size: int) -> bytes:
    t = SHA256_INFO + hashlib.sha256(message).digest()
    return b"\0\1" + b"\xff" * (size - len(t) - 3) + b"\0" + t


def sign_rs256(keys: Keys, name: str, message: bytes) -> bytes:
    n, d = keys.n(name), int_b64u(keys.jwks[name]["d"])
    size = (n.bit_length() + 7) // 8
    own = pow(int.from_bytes(emsa_pkcs1(message, size), "big"), d, n).to_bytes(size, "big")
    if n.bit_length() >= 1024:
        other = keys.private(name).sign(message, padding.PKCS1v15(), hashes.SHA256())
        assert own == other
    return own


def sign_ps256(keys: Keys, name: str, message: bytes) -> bytes:
    """RSASSA-PSS with a fixed salt, so that the file stays the same."""
    n, d = keys.n(name), int_b64u(keys.jwks[name]["d"])
    em_len, salt = 256, bytes(range(32))
    h = hashlib.sha256(b"\0" * 8 + hashlib.sha256(message).digest() + salt).digest()
    db = b"\0" * (em_len - 32 - 32 - 2) + b"\1" + salt
    mask = b"".join(hashlib.sha256(h + i.to_bytes(4, "big")).digest() for i in range(8))[: len(db)]
    masked = bytes(a ^ b for a, b in zip(db, mask))
    masked = bytes([masked[0] & 0x7F]) + masked[1:]
    out = pow(int.from_bytes(masked + h + b"\xbc", "big"), d, n).to_bytes(256, "big")
    keys.private(name).public_key().verify(
        out, message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
    )
    return out


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class Refused(Exception):
    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message
        super().__init__(f"{kind}: {message}")


def strict_json(raw: bytes) -> object:
    """JSON of RFC 8259, in UTF-8, without duplicate names and without numbers beyond a double."""

    def pairs(items: list) -> dict:
        out = dict(items)
        if len(out) != len(items):
            raise ValueError("duplicate key")
        return out

    def constant(text: str) -> object:
        raise ValueError(text)

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError("number out of range")
        return value

    return json.loads(
        raw.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant, parse_float=number
    )


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def verify_by_the_rules(case: dict, document: dict) -> dict:
    """The rules of the protocol, plainly; the signature is PyJWT's affair."""
    bad = "invalid_passport"
    token = case["jwt"]
    if len(token.encode()) > 8192:
        raise Refused(bad, "too long")
    parts = token.split(".")
    if len(parts) != 3 or not all(re.fullmatch(r"[A-Za-z0-9_-]+", p) and len(p) % 4 != 1 for p in parts):
        raise Refused(bad, "not three base64url segments")
    raw_header, raw_payload = (base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)) for p in parts[:2])
    try:
        header = strict_json(raw_header)
    except ValueError as exc:
        raise Refused(bad, "header is not JSON") from exc
    if not isinstance(header, dict):
        raise Refused(bad, "header is not an object")
    if header.get("alg") != "RS256":
        raise Refused(bad, "alg")
    if "crit" in header:
        raise Refused(bad, "crit")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise Refused(bad, "JWT header missing kid")
    if document.get("ok") is True and isinstance(document.get("data"), dict):
        document = document["data"]
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise Refused(bad, "JWKS response missing keys array")
    usable = []
    for key in listed:
        if not isinstance(key, dict) or key.get("kid") != kid or key.get("kty") != "RSA":
            continue
        if key.get("use", "sig") != "sig" or key.get("alg", "RS256") != "RS256":
            continue
        try:
            n, e = int_b64u(key["n"]), int_b64u(key["e"])
        except (KeyError, TypeError, ValueError):
            continue
        if 2048 <= n.bit_length() <= 8192 and e >= 3 and e % 2 == 1:
            usable.append(key)
    if not usable:
        raise Refused(bad, f"Unknown JWT kid: {kid}")
    assert len(usable) == 1, "which of two usable keys with one kid wins is not specified"
    try:
        key = RSAAlgorithm.from_jwk(json.dumps(usable[0]))
        jwt.PyJWS().decode_complete(token, key=key, algorithms=["RS256"])
    except jwt.PyJWTError as exc:
        raise Refused(bad, "signature") from exc
    try:
        claims = strict_json(raw_payload)
    except ValueError as exc:
        raise Refused(bad, "payload is not JSON") from exc
    if not isinstance(claims, dict):
        raise Refused(bad, "payload must be an object")
    if claims.get("aud") != "lime-site-login":
        raise Refused(bad, "Invalid audience")
    if "iss" in claims:
        iss = claims["iss"]
        if not isinstance(iss, str):
            raise Refused(bad, "Invalid issuer")
        a, b = urlsplit(iss), urlsplit(case["api_root"])
        if (a.scheme.lower(), a.netloc.lower(), a.path.rstrip("/")) != (
            b.scheme.lower(),
            b.netloc.lower(),
            "",
        ):
            raise Refused(bad, "Invalid issuer")
    elif case.get("require_issuer"):
        raise Refused(bad, "JWT missing iss claim")
    exp, iat, now = claims.get("exp"), claims.get("iat"), case["now"]
    if not is_number(exp) or not is_number(iat):
        raise Refused(bad, "JWT missing exp or iat")
    if exp <= now:
        raise Refused("passport_expired", "JWT has expired")
    if exp - iat > 120:
        raise Refused(bad, "JWT TTL exceeds")
    if iat > now + 30:
        raise Refused(bad, "iat in the future")
    if "nbf" in claims:
        if not is_number(claims["nbf"]) or claims["nbf"] > now + 30:
            raise Refused(bad, "nbf")
    if "expected_request_id" in case:
        claim = claims.get("request_id")
        if not isinstance(claim, str) or claim != case["expected_request_id"]:
            raise Refused(bad, "JWT request_id claim does not match")
    out = dict(claims)
    sub = out.pop("sub", None)
    if sub is not None and "agent_id" not in out:
        out["agent_id"] = sub
    return out


def make_passports() -> dict:
    keys = Keys()
    c = Cases()
    e_one, e_two = b64u_int(1), b64u_int(2)
    oct_key = {
        "kty": "oct",
        "use": "sig",
        "alg": "HS256",
        "kid": KID,
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    }
    ec_key = {
        "kty": "EC",
        "use": "sig",
        "crv": "P-256",
        "kid": KID,
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    }
    # An "oct" key whose k is our public key: what an attacker would want us to use for HS256.
    oct_pem = {"kty": "oct", "kid": KID, "k": b64u(keys.public_pem("main"))}
    jwks = {
        "bare": {"keys": [keys.public("main")]},
        "envelope": {"ok": True, "data": {"keys": [keys.public("main")]}},
        "two-keys": {"keys": [keys.public("second", "key-2025-07"), keys.public("main")]},
        "rotated": {"keys": [keys.public("rotated", "key-2025-08"), keys.public("second", "key-2025-07")]},
        "other-key-same-kid": {"keys": [keys.public("second")]},
        "oct-same-kid-first": {"keys": [oct_key, keys.public("main")]},
        "oct-same-kid-last": {"keys": [keys.public("main"), oct_key]},
        "ec-same-kid-first": {"keys": [ec_key, keys.public("main")]},
        "ec-same-kid-last": {"keys": [keys.public("main"), ec_key]},
        "oct-only": {"keys": [oct_pem]},
        "ec-only": {"keys": [ec_key]},
        "minimal-jwk": {"keys": [keys.public("main", use=None, alg=None)]},
        "extra-members": {
            "issued": 1,
            "keys": [keys.public("main", x5t="abc", x5c=["AAAA"], note={"a": [1]})],
            "next": None,
        },
        "rsa-512": {"keys": [keys.public("rsa512")]},
        "rsa-1024": {"keys": [keys.public("rsa1024")]},
        "rsa-2047": {"keys": [keys.public("rsa2047")]},
        "rsa-3072": {"keys": [keys.public("rsa3072")]},
        "rsa-4096": {"keys": [keys.public("rsa4096")]},
        "rsa-8192": {"keys": [keys.public("rsa8192")]},
        "rsa-8208": {"keys": [keys.public("rsa8208")]},
        "e-3": {"keys": [keys.public("e3")]},
        "e-1": {"keys": [keys.public("main", e=e_one)]},
        "e-2": {"keys": [keys.public("main", e=e_two)]},
        "use-enc": {"keys": [keys.public("main", use="enc")]},
        "alg-rs512": {"keys": [keys.public("main", alg="RS512")]},
        "alg-rs384": {"keys": [keys.public("main", alg="RS384")]},
        "alg-ps256": {"keys": [keys.public("main", alg="PS256")]},
        "missing-kid": {"keys": [keys.public("main", None)]},
        "number-kid": {"keys": [keys.public("main", 7)]},
        "missing-n": {"keys": [keys.public("main", n=None)]},
        "missing-e": {"keys": [keys.public("main", e=None)]},
        "lower-case-kty": {"keys": [keys.public("main", kty="rsa")]},
        "unicode-kid": {"keys": [keys.public("main", "schl\u00fcssel-\U0001f34b")]},
        "garbage-around": {
            "keys": [
                None,
                7,
                "x",
                [],
                {},
                {"kid": KID},
                {"kty": "RSA", "kid": KID},
                {"kty": "RSA", "kid": KID, "n": "!!", "e": "AQAB"},
                keys.public("main"),
                {"kty": "RSA", "kid": "z", "n": 5, "e": []},
                False,
            ]
        },
        "empty": {"keys": []},
        "empty-envelope": {"ok": True, "data": {"keys": []}},
        "keys-object": {"keys": {"0": keys.public("main")}},
        "keys-null": {"keys": None},
        "keys-missing": {"issuer": "https://lime.pics"},
        "envelope-keys-missing": {"ok": True, "data": {"count": 0}},
        "envelope-keys-string": {"ok": True, "data": {"keys": "none"}},
    }

    head = {"alg": "RS256", "kid": KID, "typ": "JWT"}
    minimal = {"aud": "lime-site-login", "exp": NOW + 60, "iat": NOW}
    base = {"iss": "https://lime.pics", **minimal}

    def claims_with(**extra: object) -> dict:
        return {k: v for k, v in {**base, **extra}.items() if v is not ...}

    def raw(value: object) -> bytes:
        return (
            value
            if isinstance(value, bytes)
            else value.encode()
            if isinstance(value, str)
            else compact(value).encode()
        )

    def token(payload: object = base, header: object = head, key: str = "main", sign=sign_rs256) -> str:
        message = b64u(raw(header)) + "." + b64u(raw(payload))
        return message + "." + b64u(sign(keys, key, message.encode()))

    def put(case_id: str, text: str, expect: dict, set_name: str = "bare", **options: object) -> None:
        case = {"jwt": text, "jwks": set_name, "now": NOW, "api_root": ROOT, **options, "expect": expect}
        try:
            got: object = verify_by_the_rules(case, jwks[set_name])
        except Refused as exc:
            assert expect.get("error") == exc.kind, f"{case_id}: expected {expect}, rules say {exc}"
            assert expect.get("message_contains", "") in exc.message, f"{case_id}: {expect} but {exc}"
        else:
            assert "claims" in expect, f"{case_id}: expected {expect}, the rules accept"
            assert got == expect["claims"] and compact(got) == compact(json.loads(compact(got))), case_id
        c.add(case_id, **case)

    def good(
        case_id: str,
        payload: object = base,
        claims: dict | None = None,
        header: object = head,
        key: str = "main",
        set_name: str = "bare",
        **options: object,
    ) -> None:
        text = token(payload, header, key)
        if claims is None:
            assert isinstance(payload, dict) and "sub" not in payload
            claims = payload
        put(case_id, text, {"claims": claims}, set_name, **options)

    def bad(
        case_id: str,
        text: str,
        contains: str = "",
        set_name: str = "bare",
        kind: str = "invalid_passport",
        **options: object,
    ) -> None:
        expect = {"error": kind}
        if contains:
            expect["message_contains"] = contains
        put(case_id, text, expect, set_name, **options)

    # --- accepted
    good("minimal-bare-jwks", minimal)
    good("minimal-enveloped-jwks", minimal, set_name="envelope")
    good("with-issuer-bare-jwks")
    good("with-issuer-enveloped-jwks", set_name="envelope", require_issuer=True)
    full = {
        "iss": "https://lime.pics",
        "sub": "agt_1",
        "aud": "lime-site-login",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 120,
        "jti": "5d1c",
        "request_id": "lr_42",
        "site_id": "site_7",
        "owner_id": "own_3",
        "user_id": "usr_3",
        "display_name": "Zo\u00eb \U0001f34b",
        "owner_kyc_level": 2,
        "passport_version": 1,
    }
    named = {**{k: v for k, v in full.items() if k != "sub"}, "agent_id": "agt_1"}
    good("all-claims-sub-becomes-agent-id", full, named, expected_request_id="lr_42", require_issuer=True)
    good("all-claims-enveloped-jwks", full, named, set_name="envelope", expected_request_id="lr_42")
    good(
        "agent-id-wins-and-sub-is-dropped",
        claims_with(sub="agt_1", agent_id="agt_2"),
        claims_with(agent_id="agt_2"),
    )
    good("agent-id-equal-to-sub", claims_with(sub="agt_1", agent_id="agt_1"), claims_with(agent_id="agt_1"))
    good("agent-id-without-sub", claims_with(agent_id="agt_9"))
    good("two-keys-the-second-is-ours", set_name="two-keys")
    good(
        "two-keys-signed-by-the-other",
        header={**head, "kid": "key-2025-07"},
        key="second",
        set_name="two-keys",
    )
    good("rotated-set-new-key", header={**head, "kid": "key-2025-08"}, key="rotated", set_name="rotated")
    good("oct-key-with-our-kid-before-ours-is-skipped", set_name="oct-same-kid-first")
    good("oct-key-with-our-kid-after-ours-is-skipped", set_name="oct-same-kid-last")
    good("ec-key-with-our-kid-before-ours-is-skipped", set_name="ec-same-kid-first")
    good("ec-key-with-our-kid-after-ours-is-skipped", set_name="ec-same-kid-last")
    good("jwk-without-use-and-alg", set_name="minimal-jwk")
    good("jwk-with-unknown-members", set_name="extra-members")
    good("garbage-entries-around-the-key", set_name="garbage-around")
    good("rsa-3072", key="rsa3072", set_name="rsa-3072")
    good("rsa-4096", key="rsa4096", set_name="rsa-4096")
    good("rsa-8192-is-the-largest", key="rsa8192", set_name="rsa-8192")
    good("public-exponent-3", key="e3", set_name="e-3")
    good("kid-outside-ascii", header={**head, "kid": "schl\u00fcssel-\U0001f34b"}, set_name="unicode-kid")
    good(
        "kid-raw-utf8-in-header",
        header='{"alg":"RS256","kid":"schl\u00fcssel-\U0001f34b"}',
        set_name="unicode-kid",
    )
    good("header-without-typ", header={"alg": "RS256", "kid": KID})
    good("header-with-other-typ", header={**head, "typ": "at+jwt"})
    good(
        "jku-and-x5u-are-ignored",
        header={**head, "jku": "https://evil.tld/jwks.json", "x5u": "https://evil.tld/c.pem"},
    )
    good("jwk-in-header-is-ignored", header={**head, "jwk": keys.public("attacker")})
    good(
        "whitespace-inside-the-json",
        f' {{ "aud" : "lime-site-login",\n\t"exp" : {NOW + 60} ,\r\n "iat" : {NOW} }} \n',
        minimal,
        header=f'{{ "kid" : "{KID}", "alg" : "RS256" }}',
    )
    good(
        "escaped-names-and-values",
        f'{{"\\u0061ud":"lime\\u002dsite-login","exp":{NOW + 60},"iat":{NOW}}}',
        minimal,
    )
    nested = {
        "ctx": {"a": {"b": [1, [2, {"c": None}], True], "a": {}}, "list": [], "t": False},
        "exp_note": {"exp": 1},
    }
    good("nested-claims-same-name-at-different-depths", claims_with(**nested))
    good(
        "unicode-claims",
        claims_with(
            display_name="\u6797\u6aac \U0001f34b\U0001f468\u200d\U0001f4bb",
            **{"cl\u00e9": "\u00df\u2028\u2029"},
        ),
    )
    good(
        "unicode-claims-as-raw-utf8",
        f'{{"aud":"lime-site-login","exp":{NOW + 60},"iat":{NOW},"n":"\u6797\u6aac \U0001f34b"}}',
        claims_with(iss=..., n="\u6797\u6aac \U0001f34b"),
    )
    good(
        "big-integers-keep-all-digits",
        claims_with(
            a=9007199254740991,
            b=9007199254740993,
            c=9223372036854775807,
            d=-9223372036854775808,
            e=18446744073709551615,
        ),
    )
    good("empty-strings-and-nulls-in-other-claims", claims_with(display_name="", note=None))
    good("exp-half-a-second-ahead", claims_with(exp=NOW + 0.5))
    good("exp-as-float", claims_with(exp=NOW + 60.25))
    good("iat-as-float", claims_with(iat=NOW - 0.75))
    good(
        "exp-in-scientific-notation",
        f'{{"aud":"lime-site-login","exp":1.75000006e9,"iat":{NOW}}}',
        claims_with(iss=..., exp=1750000060.0),
    )
    good("fractional-clock", claims_with(exp=NOW + 0.5), now=NOW + 0.25)
    good("ttl-exactly-120", claims_with(exp=NOW + 60, iat=NOW - 60))
    good("iat-30-s-ahead", claims_with(iat=NOW + 30))
    good("nbf-in-the-past", claims_with(nbf=NOW - 1000))
    good("nbf-30-s-ahead", claims_with(nbf=NOW + 30))
    good("nbf-as-float", claims_with(nbf=NOW + 29.5))
    good("request-id-equal", claims_with(request_id="lr_1"), expected_request_id="lr_1")
    good("request-id-not-asked-for", claims_with(request_id=42))
    good("issuer-absent-and-not-required", minimal, require_issuer=False)
    good("issuer-equal-and-required", claims_with(iss="https://lime.pics"), require_issuer=True)
    good("issuer-upper-case", claims_with(iss="HTTPS://LIME.PICS"))
    good("issuer-trailing-slash", claims_with(iss="https://lime.pics/"))
    good("issuer-api-root-with-trailing-slash", claims_with(iss="https://lime.pics"), api_root=ROOT + "/")
    good(
        "issuer-api-root-upper-case-host",
        claims_with(iss="https://lime.pics"),
        api_root="https://LIME.Pics/api/v1",
    )
    good("issuer-api-root-without-path", claims_with(iss="https://lime.pics"), api_root="https://lime.pics")
    good(
        "issuer-with-the-port-of-the-api-root",
        claims_with(iss="http://127.0.0.1:8080"),
        api_root="http://127.0.0.1:8080/api/v1",
    )

    def sized(total: int) -> str:
        for note in range(5500, 6100):
            for extra in range(4):
                header = {**head, "x": "x" * extra}
                size = (
                    sum((len(raw(p)) * 8 + 5) // 6 for p in (header, claims_with(note="n" * note))) + 2 + 342
                )
                if size == total:
                    return token(claims_with(note="n" * note), header)
        raise AssertionError(total)

    text = sized(8192)
    assert len(text) == 8192
    put(
        "token-of-8192-bytes",
        text,
        {"claims": json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))},
    )
    bad("token-of-8193-bytes", sized(8193))
    bad("token-of-100000-bytes", token(claims_with(note="n" * 74000)))

    # --- shape of the token
    text = token()
    h, p, s = text.split(".")
    bad("empty-string", "")
    bad("one-word", "garbage")
    bad("only-dots", "..")
    bad("two-segments", f"{h}.{p}")
    bad("four-segments", f"{text}.{s}")
    bad("five-segments-jwe", f"{h}.{p}.{p}.{p}.{s}")
    bad("empty-header", f".{p}.{s}")
    bad("empty-payload", f"{h}..{s}")
    bad("empty-signature", f"{h}.{p}.")
    bad("leading-dot", f".{text}")
    bad("padding-on-the-signature", text + "==")
    bad("padding-on-the-payload", f"{h}.{p}{'=' * (-len(p) % 4) or '='}.{s}")
    dash = next(
        token(claims_with(note=str(i)))
        for i in range(1000)
        if {"-", "_"} <= set(token(claims_with(note=str(i))).rsplit(".", 1)[1])
    )
    d_h, d_p, d_s = dash.split(".")
    put(
        "signature-with-dash-and-underscore",
        dash,
        {"claims": json.loads(base64.urlsafe_b64decode(d_p + "==="))},
    )
    bad("standard-base64-plus", f"{d_h}.{d_p}.{d_s.replace('-', '+')}")
    bad("standard-base64-slash", f"{d_h}.{d_p}.{d_s.replace('_', '/')}")
    bad("leading-space", " " + text)
    bad("trailing-newline", text + "\n")
    bad("line-break-inside", f"{h}.{p[:20]}\r\n{p[20:]}.{s}")
    bad("bearer-prefix", "Bearer " + text)
    bad("non-ascii-character", f"{h}.{p}.\u00e9{s[1:]}")
    bad("impossible-base64-length", f"{h}.{p}.{s[:341]}")
    bad("truncated-signature", f"{h}.{p}.{s[:340]}", "signature")
    bad("truncated-in-the-payload", text[: len(h) + 10])

    # --- header
    bad("header-not-json", token(header="not json"))
    bad("header-array", token(header=["RS256", KID]))
    bad("header-string", token(header='"RS256"'))
    bad("header-not-utf8", token(header=b'{"alg":"RS256","kid":"' + KID.encode() + b'","x":"\xff"}'))
    bad("header-with-trailing-text", token(header=compact(head) + "x"))
    bad("header-duplicate-alg", token(header=f'{{"alg":"none","kid":"{KID}","alg":"RS256"}}'))
    bad("header-duplicate-kid", token(header=f'{{"alg":"RS256","kid":"{KID}","kid":"{KID}"}}'))
    bad("header-nested-duplicate", token(header=f'{{"alg":"RS256","kid":"{KID}","x":{{"a":1,"a":1}}}}'))
    bad("alg-none-without-signature", b64u(raw({"alg": "none", "kid": KID})) + "." + p + ".")
    bad("alg-none-with-a-good-signature", token(header={**head, "alg": "none"}))
    for alg, name in (
        (" RS256", "leading-space"),
        ("rs256", "lower-case"),
        ("RS256 ", "trailing-space"),
        ("", "empty"),
        ("RS384", "rs384"),
        (256, "number"),
        (None, "null"),
        (["RS256"], "list"),
    ):
        bad(f"alg-{name}", token(header={**head, "alg": alg}))
    bad("alg-missing", token(header={"kid": KID, "typ": "JWT"}))

    def hs256(secret: bytes):
        return lambda _keys, _name, message: hmac.new(secret, message, "sha256").digest()

    pem = keys.public_pem("main")
    bad("hs256-with-the-public-pem", token(header={**head, "alg": "HS256"}, sign=hs256(pem)))
    bad(
        "hs256-with-the-public-pem-oct-jwk",
        token(header={**head, "alg": "HS256"}, sign=hs256(pem)),
        set_name="oct-only",
    )
    bad(
        "hs256-with-the-pkcs1-pem",
        token(
            header={**head, "alg": "HS256"},
            sign=hs256(keys.public_pem("main", serialization.PublicFormat.PKCS1)),
        ),
    )
    bad("rs256-claimed-but-hmac-signature", token(sign=hs256(pem)), "signature")
    bad("rs256-claimed-but-oct-key-only", token(sign=hs256(pem)), "Unknown JWT kid", "oct-only")
    bad("ps256", token(header={**head, "alg": "PS256"}, sign=sign_ps256))
    bad("rs256-claimed-but-pss-signature", token(sign=sign_ps256), "signature")

    def rs512(k: Keys, name: str, message: bytes) -> bytes:
        return k.private(name).sign(message, padding.PKCS1v15(), hashes.SHA512())

    bad("rs512", token(header={**head, "alg": "RS512"}, sign=rs512))
    bad("rs256-claimed-but-sha512-signature", token(sign=rs512), "signature")
    bad("kid-missing", token(header={"alg": "RS256", "typ": "JWT"}), "kid")
    for kid, name in (("", "empty"), (7, "number"), (None, "null"), ([KID], "list")):
        bad(f"kid-{name}", token(header={**head, "kid": kid}), "kid")
    bad("kid-unknown", token(header={**head, "kid": "key-1999"}), "Unknown JWT kid")
    bad("kid-differs-in-case", token(header={**head, "kid": KID.upper()}), "Unknown JWT kid")
    bad("kid-with-a-space", token(header={**head, "kid": KID + " "}), "Unknown JWT kid")
    bad("kid-looks-like-a-path", token(header={**head, "kid": "../../etc/passwd"}), "Unknown JWT kid")
    bad("crit-header", token(header={**head, "crit": ["exp"], "exp": NOW + 60}))
    bad("crit-header-unknown-name", token(header={**head, "crit": ["x-lime"], "x-lime": 1}))
    bad("crit-header-empty", token(header={**head, "crit": []}))
    bad(
        "attacker-key-in-jwk-header",
        token(header={**head, "jwk": keys.public("attacker")}, key="attacker"),
        "signature",
    )
    bad(
        "attacker-key-in-jwk-header-own-kid",
        token(header={**head, "kid": "mine", "jwk": keys.public("attacker", "mine")}, key="attacker"),
        "Unknown JWT kid",
    )

    # --- key set
    for name in ("keys-object", "keys-null", "keys-missing", "envelope-keys-missing", "envelope-keys-string"):
        bad(f"jwks-{name}", text, "keys array", name)
    for name in (
        "empty",
        "empty-envelope",
        "missing-kid",
        "number-kid",
        "missing-n",
        "missing-e",
        "lower-case-kty",
        "use-enc",
        "alg-rs512",
        "alg-rs384",
        "alg-ps256",
        "ec-only",
        "e-2",
    ):
        bad(f"jwks-{name}", text, "Unknown JWT kid", name)
    for name in ("rsa-512", "rsa-1024", "rsa-2047", "rsa-8208"):
        bad(f"jwks-{name}-refused", token(key=name.replace("-", "")), "Unknown JWT kid", name)
    # with e = 1 the "signature" is the padded digest itself: anyone can write it
    bad("jwks-e-1-forged", token(sign=lambda _k, _n, m: emsa_pkcs1(m, 256)), "Unknown JWT kid", "e-1")
    bad("jwks-rotated-away", text, "Unknown JWT kid", "rotated")
    bad("jwks-other-key-with-the-same-kid", text, "signature", "other-key-same-kid")

    # --- signature
    def flip(segment: str, index: int) -> str:
        data = bytearray(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
        data[index] ^= 1
        return b64u(bytes(data))

    bad("signature-first-byte-flipped", f"{h}.{p}.{flip(s, 0)}", "signature")
    bad("signature-last-byte-flipped", f"{h}.{p}.{flip(s, -1)}", "signature")
    bad("signature-all-zero", f"{h}.{p}.{b64u(bytes(256))}", "signature")
    bad(
        "signature-one-byte-too-long",
        f"{h}.{p}.{b64u(base64.urlsafe_b64decode(s + '==') + bytes(1))}",
        "signature",
    )
    bad(
        "signature-with-a-zero-in-front",
        f"{h}.{p}.{b64u(bytes(1) + base64.urlsafe_b64decode(s + '=='))}",
        "signature",
    )
    bad(
        "signature-plus-modulus",
        f"{h}.{p}.{b64u((int_b64u(s) + keys.n('main')).to_bytes(257, 'big'))}",
        "signature",
    )
    bad("signature-of-another-token", f"{h}.{p}.{token(claims_with(note='x')).split('.')[2]}", "signature")
    bad("signed-by-the-attacker", token(key="attacker"), "signature")
    bad("payload-tampered", f"{h}.{b64u(raw(claims_with(exp=NOW + 61)))}.{s}", "signature")
    bad("header-tampered", f"{b64u(raw({**head, 'typ': 'jwt'}))}.{p}.{s}", "signature")

    # --- payload
    for value, name in (
        ("[]", "array"),
        ("null", "null"),
        ('"x"', "string"),
        ("17", "number"),
        ("{", "not-json"),
        (compact(base) + "}", "with-trailing-text"),
        (compact(base)[:-1] + ",}", "with-trailing-comma"),
        (compact(base).replace('"', "'"), "in-single-quotes"),
    ):
        bad(f"payload-{name}", token(value))
    bad("payload-not-utf8", token(compact(base)[:-1].encode() + b',"n":"\xc3("}'))
    bad("payload-utf16", token(compact(base).encode("utf-16-le")))
    dup = f'"iss":"https://lime.pics","aud":"lime-site-login","iat":{NOW}'
    bad("payload-duplicate-exp", token(f'{{{dup},"exp":{NOW - 60},"exp":{NOW + 60}}}'))
    bad("payload-duplicate-exp-same-value", token(f'{{{dup},"exp":{NOW + 60},"exp":{NOW + 60}}}'))
    bad("payload-duplicate-exp-escaped", token(f'{{{dup},"exp":{NOW + 60},"\\u0065xp":{NOW + 60}}}'))
    bad("payload-duplicate-other-claim", token(f'{{{dup},"exp":{NOW + 60},"sub":"a","sub":"b"}}'))
    bad("payload-nested-duplicate", token(f'{{{dup},"exp":{NOW + 60},"x":{{"a":1,"a":2}}}}'))
    bad("payload-duplicate-inside-a-list", token(f'{{{dup},"exp":{NOW + 60},"x":[1,{{"a":1,"b":2,"a":1}}]}}'))

    # --- audience
    aud = "audience"
    bad("aud-missing", token(claims_with(aud=...)), aud)
    for value, name in (
        (["lime-site-login"], "list"),
        ("lime-binding", "of-a-binding"),
        ("Lime-Site-Login", "other-case"),
        ("lime-site-login ", "trailing-space"),
        ("lime-site-login,x", "with-more"),
        ("", "empty"),
        (None, "null"),
        (1, "number"),
        ({"lime-site-login": True}, "object"),
    ):
        bad(f"aud-{name}", token(claims_with(aud=value)), aud)

    # --- issuer
    for value, name in (
        ("https://lime.pics.evil.tld", "evil-suffix"),
        ("https://lime.pics@evil.tld", "userinfo"),
        ("https://evil.tld@lime.pics", "userinfo-before-ours"),
        ("https://lime.pics:x@evil.tld", "userinfo-with-password"),
        ("https://evil.tld", "other-host"),
        ("https://lime.pics/api/v1", "with-the-api-path"),
        ("https://lime.pics/evil", "with-a-path"),
        ("http://lime.pics", "http"),
        ("https://lime.pics:8443", "other-port"),
        ("lime.pics", "without-scheme"),
        ("//lime.pics", "scheme-relative"),
        ("https://www.lime.pics", "subdomain"),
        ("https://lime.pics.", "trailing-dot"),
        ("https://l\u0456me.pics", "cyrillic-lookalike"),
        ("https://evil.tld/https://lime.pics", "ours-in-the-path"),
        ("https://lime.pics\\@evil.tld", "backslash"),
    ):
        bad(f"issuer-{name}", token(claims_with(iss=value)), "issuer")
    for value, name in (("", "empty"), (7, "number"), (["https://lime.pics"], "list")):
        bad(f"issuer-{name}", token(claims_with(iss=value)), "iss")
    bad("issuer-missing-but-required", token(minimal), "iss", require_issuer=True)
    bad(
        "issuer-of-another-api-root",
        token(claims_with(iss="https://lime.pics")),
        "issuer",
        api_root="http://127.0.0.1:8080/api/v1",
    )

    # --- times
    both = "exp or iat"
    for claim in ("exp", "iat"):
        bad(f"{claim}-missing", token(claims_with(**{claim: ...})), both)
        for value, name in (
            (str(NOW + 60), "string"),
            (True, "true"),
            (False, "false"),
            (None, "null"),
            ([NOW], "list"),
            ({}, "object"),
        ):
            bad(f"{claim}-{name}", token(claims_with(**{claim: value})), both)
        for text_number, name in (
            ("1e400", "beyond-a-double"),
            ("NaN", "nan"),
            ("Infinity", "infinity"),
            ("017", "leading-zero"),
        ):
            other = "iat" if claim == "exp" else "exp"
            bad(
                f"{claim}-{name}",
                token(f'{{"aud":"lime-site-login","{claim}":{text_number},"{other}":{NOW}}}'),
            )
    gone = {"kind": "passport_expired", "contains": "expired"}
    bad("exp-now", token(claims_with(exp=NOW)), **gone)
    bad("exp-a-second-ago", token(claims_with(exp=NOW - 1, iat=NOW - 61)), **gone)
    bad("exp-now-fractional", token(claims_with(exp=NOW + 0.25)), now=NOW + 0.25, **gone)
    bad("exp-just-before-a-fractional-clock", token(claims_with(exp=NOW)), now=NOW + 0.5, **gone)
    bad("exp-zero", token(claims_with(exp=0, iat=0)), **gone)
    bad("exp-negative", token(claims_with(exp=-5, iat=-60)), **gone)
    bad("ttl-120-and-a-half", token(claims_with(exp=NOW + 120.5)), "TTL")
    bad("ttl-121", token(claims_with(exp=NOW + 121)), "TTL")
    bad("ttl-121-mostly-past", token(claims_with(exp=NOW + 1, iat=NOW - 120)), "TTL")
    bad(
        "exp-huge-double",
        token(f'{{"aud":"lime-site-login","exp":1e300,"iat":{NOW},"iss":"https://lime.pics"}}'),
        "TTL",
    )
    bad("exp-huge-integer", token(claims_with(exp=2**70)), "TTL")
    bad("exp-largest-u64", token(claims_with(exp=2**64 - 1)), "TTL")
    bad("exp-milliseconds", token(claims_with(exp=(NOW + 60) * 1000)), "TTL")
    bad("iat-negative", token(claims_with(iat=-1)), "TTL")
    bad("iat-31-s-ahead", token(claims_with(iat=NOW + 31)), "iat")
    bad("iat-30-and-a-half-s-ahead", token(claims_with(iat=NOW + 30.5)), "iat")
    bad("nbf-31-s-ahead", token(claims_with(nbf=NOW + 31)), "nbf")
    bad("nbf-30-and-a-half-s-ahead", token(claims_with(nbf=NOW + 30.5)), "nbf")
    for value, name in ((str(NOW), "string"), (True, "true"), ([NOW], "list")):
        bad(f"nbf-{name}", token(claims_with(nbf=value)), "nbf")

    # --- request_id
    for value, expected, name in (
        ("lr_2", "lr_1", "differs"),
        (..., "lr_1", "missing"),
        (42, "42", "number-not-compared-as-text"),
        (..., "None", "missing-is-not-the-text-none"),
        (None, "None", "null-is-not-the-text-none"),
        (True, "True", "true-is-not-text"),
        (["lr_1"], "lr_1", "list"),
        ("LR_1", "lr_1", "other-case"),
        (" lr_1", "lr_1", "with-a-space"),
        ("lr_11", "lr_1", "longer"),
    ):
        bad(
            f"request-id-{name}",
            token(claims_with(request_id=value)),
            "request_id",
            expected_request_id=expected,
        )

    # --- which check comes first
    worst = dict(aud="x", iss="https://evil.tld", exp=NOW - 1, iat=NOW - 500, nbf=NOW + 99)
    bad(
        "order-unknown-kid-before-signature",
        token(key="attacker", header={**head, "kid": "nope"}),
        "Unknown JWT kid",
    )
    bad("order-signature-before-claims", token(claims_with(**worst), key="attacker"), "signature")
    bad("order-audience-before-issuer", token(claims_with(**worst)), "audience")
    worst["aud"] = "lime-site-login"
    bad("order-issuer-before-expiry", token(claims_with(**worst)), "issuer")
    worst["iss"] = "https://lime.pics"
    bad("order-numbers-before-expiry", token(claims_with(**{**worst, "iat": "x"})), both)
    bad("order-expiry-before-ttl", token(claims_with(**worst)), **gone)
    bad("order-ttl-before-nbf", token(claims_with(exp=NOW + 500, nbf=NOW + 99)), "TTL")
    bad("order-ttl-before-iat", token(claims_with(exp=NOW + 500, iat=NOW + 99)), "TTL")
    bad("order-iat-before-nbf", token(claims_with(iat=NOW + 40, nbf="x")), "iat")
    bad(
        "order-nbf-before-request-id",
        token(claims_with(nbf=NOW + 99, request_id="b")),
        "nbf",
        expected_request_id="a",
    )

    return {
        "about": "Login passports: RS256 JWT + key set + clock -> claims or error. jwks holds the key documents by "
        "name. Signed with the TEST ONLY keys of keys.json; accepted signatures are checked with PyJWT. See README.md.",
        "jwks": jwks,
        "cases": c.items,
    }


# --------------------------------------------------------------------------- sse.json


def parse_event_stream(data: bytes) -> dict:
    """WHATWG "server-sent events", on the complete input, line by line."""
    text = data.decode("utf-8", "replace")
    if text.startswith("\ufeff"):
        text = text[1:]
    lines = re.split("\r\n|\n|\r", text)
    lines.pop()  # what follows the last line end is not a line
    events: list[dict] = []
    buffer, event_type, id_buffer, last_id, retry = "", "", "", "", None
    for line in lines:
        if line == "":
            last_id = id_buffer
            if buffer != "":
                events.append({"event": event_type or "message", "data": buffer[:-1], "id": last_id})
            buffer = event_type = ""
            continue
        if line.startswith(":"):
            continue
        field, _, value = line.partition(":")
        if value.startswith(" "):
            value = value[1:]
        if field == "data":
            buffer += value + "\n"
        elif field == "event":
            event_type = value
        elif field == "id" and "\0" not in value:
            id_buffer = value
        elif field == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return {"events": events, "retry_ms": retry, "last_event_id": last_id}


def classify_frame(data: str) -> dict:
    try:
        frame = json.loads(data)
    except ValueError:
        return {"kind": "malformed"}
    if not isinstance(frame, dict):
        return {"kind": "malformed"}
    kind = frame.get("type")
    if kind == "keepalive":
        return {"kind": "keepalive"}
    if kind == "error":
        return {
            "kind": "error",
            "code": str(frame.get("code", "SSE_ERROR")),
            "message": str(frame.get("message", "SSE error frame")),
        }
    request_id = str(frame.get("login_request_id", "")).strip()
    if not request_id or kind not in ("approved", "expired"):
        return {"kind": "ignored"}
    if kind == "expired":
        return {"kind": "expired", "request_id": request_id}
    passport = frame.get("agent_passport_jwt")
    if passport is None or not passport.strip():
        return {"kind": "malformed"}
    return {"kind": "approved", "request_id": request_id, "passport": passport}


def make_sse() -> dict:
    c = Cases()

    def put(
        case_id: str,
        data: str | bytes,
        *expected: object,
        frames: list | None = None,
        retry: int | None = None,
        last_id: str = "",
    ) -> None:
        """`expected`: the data of each event, or (event, data), or (event, data, id), by hand."""
        raw = data.encode() if isinstance(data, str) else data
        parsed = parse_event_stream(raw)
        by_hand = []
        for item in expected:
            if isinstance(item, str):
                item = ("message", item)
            name, text, event_id = (*item, last_id)[:3]
            by_hand.append({"event": name, "data": text, "id": event_id})
        assert parsed == {"events": by_hand, "retry_ms": retry, "last_event_id": last_id}, (
            case_id,
            parsed,
            by_hand,
        )
        try:
            case: dict = {"input": raw.decode()}
        except UnicodeDecodeError:
            case = {"input_base64": base64.b64encode(raw).decode()}
        case |= parsed
        if frames is not None:
            assert [classify_frame(e["data"]) for e in by_hand] == frames, (
                case_id,
                [classify_frame(e["data"]) for e in by_hand],
            )
            case["frames"] = frames
        c.add(case_id, **case)

    # --- line ends
    for name, end in (("lf", "\n"), ("cr", "\r"), ("crlf", "\r\n")):
        put(f"{name}-line-ends", f"data: one{end}{end}data: two{end}data: 2{end}{end}", "one", "two\n2")
        put(
            f"{name}-many-blank-lines",
            f"{end}{end}data: one{end}{end}{end}{end}data: two{end}{end}{end}",
            "one",
            "two",
        )
        put(f"{name}-unfinished-event-is-dropped", f"data: one{end}{end}data: lost{end}", "one")
    put("mixed-line-ends", "data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r\ndata: e\n\r", "a\nb\nc", "d", "e")
    put("crlf-is-one-line-end-not-two", "data: a\r\ndata: b\r\n\r\n", "a\nb")
    put("lf-cr-is-two-line-ends", "data: a\n\rdata: b\n\r", "a", "b")
    put("cr-at-the-very-end-closes-the-event", "data: a\r\r", "a")
    put(
        "unicode-separators-are-no-line-ends",
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\n\n",
        "a\u2028b\u2029c\u0085d\x0be\x0cf",
    )
    put("escaped-newlines-stay-escaped", 'data: {"a":"x\\ny\\r\\n"}\n\n', '{"a":"x\\ny\\r\\n"}')
    # --- byte order mark
    put("bom-at-the-start-is-stripped", "\ufeffdata: a\n\ndata: b\n\n", "a", "b")
    put("bom-twice-spoils-the-first-field", "\ufeff\ufeffdata: a\n\ndata: b\n\n", "b")
    put("bom-before-a-later-line-spoils-the-field", "data: a\n\n\ufeffdata: b\n\ndata: c\n\n", "a", "c")
    put("bom-inside-data-is-kept", "data: \ufeffa\n\n", "\ufeffa")
    put("bom-then-comment", "\ufeff: hello\ndata: a\n\n", "a")
    put("bom-only", "\ufeff")
    # --- comments and fields
    put("empty-input", "")
    put("only-blank-lines", "\n\r\r\n\n")
    put("only-comments", ":\n: keepalive\n:\r\n\n")
    put("comments-between-data-lines", ":a\ndata: one\n: b\ndata: two\n:\n\n", "one\ntwo")
    put("comment-with-a-colon", "::data: x\ndata: y\n\n", "y")
    put("no-space-after-the-colon", "data:x\n\n", "x")
    put("only-one-leading-space-is-stripped", "data:  x \n\n", " x ")
    put("leading-tab-is-kept", "data:\tx\n\n", "\tx")
    put("space-before-the-colon-is-another-field", "data : x\n\ndata: y\n\n", "y")
    put("leading-space-is-another-field", " data: x\n\ndata: y\n\n", "y")
    put("field-names-are-case-sensitive", "Data: x\nDATA: y\n\ndata: z\nEvent: e\nID: 4\n\n", "z")
    put("unknown-fields-are-ignored", "foo: bar\ndata: x\ndatax: y\ndat: z\n\n", "x")
    put("colons-in-the-value", "data: a:b: c\n\n", "a:b: c")
    put("data-without-colon-adds-an-empty-line", "data\n\n", "")
    put("data-with-empty-value", "data:\n\ndata: \n\n", "", "")
    put("two-empty-data-lines-are-one-newline", "data\ndata:\n\n", "\n")
    put("empty-data-lines-around-text", "data:\ndata: x\ndata\n\n", "\nx\n")
    put("whatwg-example-three-events", "data\n\ndata\ndata\n\ndata:", "", "\n")
    put("whatwg-example-stocks", "data: YHOO\ndata: +2\ndata: 10\n\n", "YHOO\n+2\n10")
    put(
        "whatwg-example-ids",
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        ("message", "first event", "1"),
        ("message", "second event", ""),
    )
    # --- event
    put("event-name", "event: login\ndata: x\n\n", ("login", "x"))
    put("event-name-does-not-carry-over", "event: login\ndata: x\n\ndata: y\n\n", ("login", "x"), "y")
    put("event-name-last-one-wins", "event: a\nevent: b\ndata: x\n\n", ("b", "x"))
    put("event-name-after-the-data", "data: x\nevent: b\n\n", ("b", "x"))
    put("event-name-emptied", "event: a\nevent\ndata: x\n\n", "x")
    put("event-name-is-not-trimmed", "event:  a \ndata: x\n\n", (" a ", "x"))
    put("event-without-data-is-not-dispatched", "event: a\n\ndata: x\n\n", "x")
    put("event-name-outside-ascii", "event: \u5165\U0001f34b\ndata: x\n\n", ("\u5165\U0001f34b", "x"))
    # --- id
    put("id-persists-to-later-events", "id: 7\ndata: a\n\ndata: b\n\n", "a", "b", last_id="7")
    put(
        "id-changes",
        "id: 7\ndata: a\n\nid: 8\ndata: b\n\n",
        ("message", "a", "7"),
        ("message", "b", "8"),
        last_id="8",
    )
    put(
        "id-emptied-by-an-empty-value",
        "id: 7\ndata: a\n\nid:\ndata: b\n\n",
        ("message", "a", "7"),
        ("message", "b", ""),
    )
    put(
        "id-emptied-by-a-field-without-colon",
        "id: 7\ndata: a\n\nid\ndata: b\n\n",
        ("message", "a", "7"),
        ("message", "b", ""),
    )
    put("id-with-nul-is-ignored", "id: 7\ndata: a\n\nid: 8\x009\ndata: b\n\n", "a", "b", last_id="7")
    put("id-without-data-counts-at-the-blank-line", "id: 7\n\n", last_id="7")
    put("id-of-an-unfinished-event-does-not-count", "id: 7\ndata: a\n\nid: 8\ndata: b\n", "a", last_id="7")
    put("id-last-one-wins", "id: 1\ndata: a\nid: 2\n\n", "a", last_id="2")
    put("id-is-not-trimmed", "id:  7 \ndata: a\n\n", "a", last_id=" 7 ")
    put("id-outside-ascii", "id: \u00e9\U0001f34b\ndata: a\n\n", "a", last_id="\u00e9\U0001f34b")
    # --- retry
    put("retry", "retry: 1500\n\n", retry=1500)
    put("retry-counts-without-a-blank-line", "retry: 1500\n", retry=1500)
    put("retry-last-valid-one-wins", "retry: 1\ndata: a\nretry: 2000\n\nretry: x\n\n", "a", retry=2000)
    put("retry-zero", "retry: 0\n\n", retry=0)
    put("retry-leading-zeros", "retry: 0010\n\n", retry=10)
    put(
        "retry-not-digits-only",
        "retry: 10ms\nretry: -5\nretry: +5\nretry: 1.5\nretry: 1_0\nretry: 0x10\nretry:  5\nretry: 5 \n\n",
    )
    put("retry-empty-is-ignored", "retry: 9\nretry:\nretry\n\n", retry=9)
    put("retry-other-digits-are-not-digits", "retry: \u0663\u0660\nretry: \uff11\n\n")
    # --- UTF-8
    put(
        "two-three-and-four-byte-characters",
        "data: \u00e9 \u6797\u6aac \U0001f34b\U0001f468\u200d\U0001f4bb\n\n",
        "\u00e9 \u6797\u6aac \U0001f34b\U0001f468\u200d\U0001f4bb",
    )
    put(
        "four-byte-character-next-to-line-ends",
        "data:\U0001f34b\r\ndata:\U0001f34b\r\r",
        "\U0001f34b\n\U0001f34b",
    )
    bad = "\ufffd"
    put("invalid-byte", b"data: a\xffb\n\n", f"a{bad}b")
    put("truncated-sequence-before-text", b"data: \xf0\x9f\x8dx\n\n", f"{bad}x")
    put(
        "truncated-sequence-before-a-line-end",
        b"data: a\xe6\x9e\n\ndata: b\xc3\r\n\r\n",
        f"a{bad}",
        f"b{bad}",
    )
    put("lone-continuation-bytes", b"data: \x80\xbf\n\n", bad * 2)
    put("overlong-encoding", b"data: \xc0\xaf \xe0\x80\xaf\n\n", f"{bad * 2} {bad * 3}")
    put("encoded-surrogate", b"data: \xed\xa0\x80\n\n", bad * 3)
    put("beyond-unicode", b"data: \xf4\x90\x80\x80 \xf8\x88\n\n", f"{bad * 4} {bad * 2}")
    put("invalid-byte-in-the-field-name", b"da\xffta: x\n\ndata: y\n\n", "y")
    put(
        "invalid-byte-in-event-and-id",
        b"event: a\xff\nid: \xfe1\ndata: x\n\n",
        (f"a{bad}", "x"),
        last_id=f"{bad}1",
    )
    put(
        "invalid-byte-does-not-hide-the-next-event",
        b'data: {"type":"\xff\n\ndata: {"type":"keepalive"}\n\n',
        f'{{"type":"{bad}',
        '{"type":"keepalive"}',
        frames=[{"kind": "malformed"}, {"kind": "keepalive"}],
    )
    # --- sizes
    put("long-line", "data: " + "x" * 20000 + "\n\n", "x" * 20000)
    put("many-data-lines", "data: x\n" * 500 + "\n", "\n".join(["x"] * 500))

    # --- LIME frames
    def frame(case_id: str, *payloads: object, frames: list) -> None:
        texts = [p if isinstance(p, str) else compact(p) for p in payloads]
        put(f"frame-{case_id}", "".join(f"data: {t}\n\n" for t in texts), *texts, frames=frames)

    ignored, malformed = {"kind": "ignored"}, {"kind": "malformed"}

    def approved(request_id: str, passport: str = "a.b.c") -> dict:
        return {"kind": "approved", "request_id": request_id, "passport": passport}

    ok = {"type": "approved", "login_request_id": "lr_1", "agent_passport_jwt": "a.b.c"}
    frame("keepalive", {"type": "keepalive"}, frames=[{"kind": "keepalive"}])
    frame(
        "keepalive-with-request-id",
        {"type": "keepalive", "login_request_id": "lr_1"},
        frames=[{"kind": "keepalive"}],
    )
    frame("approved", ok, frames=[approved("lr_1")])
    frame(
        "approved-with-more-members",
        {**ok, "redirect_url": None, "ts": 1.5, "x": {"y": []}},
        frames=[approved("lr_1")],
    )
    frame(
        "expired",
        {"type": "expired", "login_request_id": "lr_1"},
        frames=[{"kind": "expired", "request_id": "lr_1"}],
    )
    frame(
        "expired-with-a-passport",
        {**ok, "type": "expired"},
        frames=[{"kind": "expired", "request_id": "lr_1"}],
    )
    frame(
        "error",
        {"type": "error", "code": "STREAM_LIMIT", "message": "Too many"},
        frames=[{"kind": "error", "code": "STREAM_LIMIT", "message": "Too many"}],
    )
    frame(
        "error-with-request-id",
        {"type": "error", "login_request_id": "lr_1", "code": "X", "message": "y"},
        frames=[{"kind": "error", "code": "X", "message": "y"}],
    )
    frame(
        "error-defaults",
        {"type": "error"},
        frames=[{"kind": "error", "code": "SSE_ERROR", "message": "SSE error frame"}],
    )
    frame(
        "error-default-message",
        {"type": "error", "code": "X"},
        frames=[{"kind": "error", "code": "X", "message": "SSE error frame"}],
    )
    frame(
        "error-numeric-code",
        {"type": "error", "code": 42, "message": "y"},
        frames=[{"kind": "error", "code": "42", "message": "y"}],
    )
    frame("request-id-is-trimmed", {**ok, "login_request_id": "  lr_1\t\n"}, frames=[approved("lr_1")])
    frame(
        "request-id-numeric",
        {**ok, "login_request_id": 42},
        {"type": "expired", "login_request_id": -7},
        frames=[approved("42"), {"kind": "expired", "request_id": "-7"}],
    )
    frame("request-id-numeric-zero", {**ok, "login_request_id": 0}, frames=[approved("0")])
    frame(
        "request-id-numeric-beyond-2-53",
        {**ok, "login_request_id": 9007199254740993},
        frames=[approved("9007199254740993")],
    )
    frame(
        "request-id-missing",
        {"type": "approved", "agent_passport_jwt": "a.b.c"},
        {"type": "expired"},
        frames=[ignored, ignored],
    )
    frame(
        "request-id-blank",
        {**ok, "login_request_id": ""},
        {**ok, "login_request_id": " \t "},
        frames=[ignored, ignored],
    )
    frame(
        "request-id-outside-ascii",
        {**ok, "login_request_id": "lr_\u6797\U0001f34b"},
        frames=[approved("lr_\u6797\U0001f34b")],
    )
    frame("type-missing", {"login_request_id": "lr_1"}, {}, frames=[ignored, ignored])
    frame("type-unknown", {**ok, "type": "delivered"}, {**ok, "type": ""}, frames=[ignored, ignored])
    frame(
        "type-other-case-or-spaces",
        {**ok, "type": "APPROVED"},
        {**ok, "type": " approved"},
        frames=[ignored, ignored],
    )
    frame("type-not-a-string", {**ok, "type": 1}, {**ok, "type": ["approved"]}, frames=[ignored, ignored])
    frame("passport-missing", {"type": "approved", "login_request_id": "lr_1"}, frames=[malformed])
    frame("passport-null", {**ok, "agent_passport_jwt": None}, frames=[malformed])
    frame(
        "passport-blank",
        {**ok, "agent_passport_jwt": ""},
        {**ok, "agent_passport_jwt": " \t "},
        frames=[malformed, malformed],
    )
    frame("passport-missing-and-request-id-too", {"type": "approved"}, frames=[ignored])
    frame(
        "passport-is-not-trimmed",
        {**ok, "agent_passport_jwt": " a.b.c "},
        frames=[approved("lr_1", " a.b.c ")],
    )
    frame(
        "not-json",
        "hello",
        "{",
        '{"type":"keepalive"',
        "{'type':'keepalive'}",
        '{"type":"keepalive"}}',
        frames=[malformed] * 5,
    )
    frame(
        "json-but-not-an-object",
        "[]",
        "null",
        "true",
        "17",
        '"approved"',
        '[{"type":"keepalive"}]',
        frames=[malformed] * 6,
    )
    frame("bad-frame-then-good-frame", "{oops", ok, frames=[malformed, approved("lr_1")])
    frame(
        "escapes",
        '{"\\u0074ype":"appr\\u006fved","login_request_id":"lr\\u005f1","agent_passport_jwt":"a.b\\u002ec"}',
        frames=[approved("lr_1")],
    )
    put(
        "frame-over-several-data-lines",
        'data: {"type":"approved",\ndata:  "login_request_id":"lr_1",\r\ndata:"agent_passport_jwt":"a.b.c"}\r\n\r\n',
        '{"type":"approved",\n "login_request_id":"lr_1",\n"agent_passport_jwt":"a.b.c"}',
        frames=[approved("lr_1")],
    )
    put(
        "frame-with-whitespace-around",
        'data:   {"type":"keepalive"}  \n\n',
        '  {"type":"keepalive"}  ',
        frames=[{"kind": "keepalive"}],
    )
    put(
        "frame-of-a-named-event-counts",
        f"event: login\nid: 9\ndata: {compact(ok)}\n\n",
        ("login", compact(ok)),
        last_id="9",
        frames=[approved("lr_1")],
    )
    put(
        "frame-order-of-a-whole-stream",
        ': connected\n\ndata: {"type":"keepalive"}\n\nid: 1\ndata: '
        + compact({**ok, "login_request_id": "lr_b"})
        + '\n\n:\n\nid: 2\ndata: {"type":"expired","login_request_id":"lr_a"}\n\ndata: nonsense\n\n'
        'data: {"type":"error","code":"C","message":"m"}\n\nid: 3\ndata: ' + compact(ok) + "\n",
        ("message", '{"type":"keepalive"}', ""),
        ("message", compact({**ok, "login_request_id": "lr_b"}), "1"),
        ("message", '{"type":"expired","login_request_id":"lr_a"}', "2"),
        ("message", "nonsense", "2"),
        ("message", '{"type":"error","code":"C","message":"m"}', "2"),
        last_id="2",
        frames=[
            {"kind": "keepalive"},
            approved("lr_b"),
            {"kind": "expired", "request_id": "lr_a"},
            malformed,
            {"kind": "error", "code": "C", "message": "m"},
        ],
    )

    return {
        "about": "Event streams, parsed as WHATWG says. Feed every input whole, in 1-byte and in 2-byte chunks. "
        "frames is the LIME meaning of each event's data. See README.md.",
        "cases": c.items,
    }


# --------------------------------------------------------------------------- envelopes.json

AUTH_CODES = (
    "SITE_TOKEN_MISSING",
    "SITE_TOKEN_INVALID",
    "SITE_SUSPENDED",
    "MISSING_AGENT_TOKEN",
    "INVALID_AGENT_TOKEN",
)


def parse_envelope(status: int, body: bytes) -> dict:
    def failure(kind: str, message: str, code: str | None = None, detail: dict | None = None) -> dict:
        return {
            "error": {"kind": kind, "code": code, "message": message, "http_status": status, "detail": detail}
        }

    def constant(text: str) -> object:
        raise ValueError(text)

    try:
        value = json.loads(body.decode("utf-8"), parse_constant=constant)  # str: a BOM is refused
    except (ValueError, RecursionError):  # Python's parser gives up on the 20000 brackets
        return failure("bad_response", f"Invalid JSON response (HTTP {status})")
    if not isinstance(value, dict):
        return failure("bad_response", f"Unexpected response shape (HTTP {status})")
    if value.get("ok") is True:
        if not isinstance(value.get("data"), dict):
            return failure("bad_response", "Success envelope missing data object")
        return {"data": value["data"]}
    error = value.get("error")
    if not isinstance(error, dict):
        return failure("bad_response", f"Error envelope missing error object (HTTP {status})")
    code, message = str(error.get("code", "UNKNOWN_ERROR")), str(error.get("message", "Unknown error"))
    detail = error.get("detail") if isinstance(error.get("detail"), dict) else None
    if status == 429 or code == "RATE_LIMIT_EXCEEDED":
        kind = "rate_limit"
    elif status == 401 or code in AUTH_CODES:
        kind = "authentication"
    else:
        kind = "api"
    return failure(kind, message, code, detail)


def make_envelopes() -> dict:
    c = Cases()

    def put(
        case_id: str,
        status: int,
        body: object,
        expected: str,
        code: str | None = None,
        message: str | None = None,
        detail: dict | None = None,
    ) -> None:
        """`expected` is "data" or the error kind, by hand; code, message and detail too."""
        raw = (
            body
            if isinstance(body, bytes)
            else body.encode()
            if isinstance(body, str)
            else compact(body).encode()
        )
        got = parse_envelope(status, raw)
        if expected == "data":
            assert list(got) == ["data"], (case_id, got)
        else:
            by_hand = {
                "kind": expected,
                "code": code,
                "message": message,
                "http_status": status,
                "detail": detail,
            }
            assert got == {"error": by_hand}, (case_id, got, by_hand)
        try:
            case: dict = {"http_status": status, "body": raw.decode()}
        except UnicodeDecodeError:
            case = {"http_status": status, "body_base64": base64.b64encode(raw).decode()}
        c.add(case_id, **case, expect=got)

    def fail(code: object = ..., message: object = "Nope", **more: object) -> dict:
        error = {"code": code, "message": message, **more}
        return {"ok": False, "error": {k: v for k, v in error.items() if v is not ...}}

    data = {"login_request_id": "lr_1", "status": "PENDING", "expires_at": "2026-08-01T12:00:00Z"}
    # --- success
    put("success-200", 200, {"ok": True, "data": data}, "data")
    put("success-201", 201, {"ok": True, "data": data}, "data")
    put("success-empty-data", 200, {"ok": True, "data": {}}, "data")
    put("success-with-whitespace", 200, ' {\r\n\t"ok" : true , "data" : { "a" : 1 } }\n', "data")
    put(
        "success-extra-members",
        200,
        {"ok": True, "data": {"a": None}, "meta": {"x": 1}, "error": None},
        "data",
    )
    put(
        "success-beats-an-error-object",
        200,
        {"ok": True, "data": {"a": 1}, "error": {"code": "X", "message": "y"}},
        "data",
    )
    for status in (302, 400, 401, 429, 500):
        put(f"success-whatever-the-status-{status}", status, {"ok": True, "data": {"a": 1}}, "data")
    put(
        "success-unicode",
        200,
        {"ok": True, "data": {"n": "\u6797\u6aac \U0001f34b", "\u00e9": "\u2028"}},
        "data",
    )
    put(
        "success-raw-utf8",
        200,
        '{"ok":true,"data":{"n":"\u6797\u6aac \U0001f34b","\u00e9":"\u2028"}}',
        "data",
    )
    put(
        "success-big-integers-and-floats",
        200,
        {
            "ok": True,
            "data": {
                "a": 9007199254740993,
                "b": -9223372036854775808,
                "c": 18446744073709551615,
                "d": 0.1,
                "e": -1.5e-7,
            },
        },
        "data",
    )
    nested: object = "core"
    for _ in range(32):
        nested = {"d": [nested]}
    put("success-nested-64-deep", 200, {"ok": True, "data": {"x": nested}}, "data")
    put("success-duplicate-data-last-wins", 200, '{"ok":true,"data":{"a":1},"data":{"a":2}}', "data")
    put("success-duplicate-ok-last-wins", 200, '{"ok":false,"data":{"a":1},"ok":true}', "data")
    put("success-duplicate-inside-data-last-wins", 200, '{"ok":true,"data":{"a":1,"b":0,"a":2}}', "data")

    # --- wrong shape
    def shape(case_id: str, status: int, body: object, message: str) -> None:
        put(case_id, status, body, "bad_response", message=message)

    for case_id, status, body in (
        ("not-json-empty-204", 204, ""),
        ("not-json-empty-200", 200, ""),
        ("not-json-empty-502", 502, ""),
        ("not-json-only-spaces", 200, " \n"),
        ("not-json-html-502", 502, "<html><body>Bad Gateway</body></html>"),
        ("not-json-html-302", 302, "<a href='https://evil.tld'>moved</a>"),
        ("not-json-text-401", 401, "Unauthorized"),
        ("not-json-text-429", 429, "slow down"),
        ("not-json-cut-off", 200, '{"ok":true,"data":{"a":1}'),
        ("not-json-trailing-text", 200, '{"ok":true,"data":{}} x'),
        ("not-json-two-documents", 200, '{"ok":true,"data":{}}{}'),
        ("not-json-trailing-comma", 200, '{"ok":true,"data":{},}'),
        ("not-json-single-quotes", 200, "{'ok':true}"),
        ("not-json-nan", 200, '{"ok":true,"data":{"a":NaN}}'),
        ("not-json-python-true", 200, '{"ok":True,"data":{}}'),
        ("not-json-comment", 200, '{"ok":true/*x*/,"data":{}}'),
        ("not-json-raw-newline-in-a-string", 200, '{"ok":true,"data":{"a":"x\ny"}}'),
        ("not-json-byte-order-mark", 200, '\ufeff{"ok":true,"data":{}}'),
        ("not-json-invalid-utf8", 200, b'{"ok":true,"data":{"a":"\xff"}}'),
        ("not-json-utf8-cut-off", 500, b'{"ok":false,"error":{"code":"X","message":"\xc3"}}'),
        ("not-json-latin-1", 200, '{"ok":true,"data":{"a":"\u00e9"}}'.encode("latin-1")),
        ("not-json-20000-open-brackets", 200, '{"ok":true,"data":{"a":' + "[" * 20000),
    ):
        shape(case_id, status, body, f"Invalid JSON response (HTTP {status})")
    for case_id, status, body in (
        ("not-an-object-list", 200, "[]"),
        ("not-an-object-null", 200, "null"),
        ("not-an-object-true", 200, "true"),
        ("not-an-object-number", 500, "17"),
        ("not-an-object-string", 401, '"nope"'),
        ("not-an-object-list-of-envelopes", 200, '[{"ok":true,"data":{}}]'),
    ):
        shape(case_id, status, body, f"Unexpected response shape (HTTP {status})")
    for name, value in (("list", [1]), ("null", None), ("string", "x"), ("number", 0), ("true", True)):
        shape(
            f"success-data-{name}", 200, {"ok": True, "data": value}, "Success envelope missing data object"
        )
    shape("success-data-missing", 200, {"ok": True}, "Success envelope missing data object")
    shape(
        "success-data-missing-despite-an-error",
        400,
        {"ok": True, **{"error": {"code": "X", "message": "y"}}},
        "Success envelope missing data object",
    )
    for name, value in (("number", 1), ("string", "true"), ("null", None), ("false", False), ("object", {})):
        shape(
            f"ok-{name}-is-not-success",
            200,
            {"ok": value, "data": {"a": 1}},
            "Error envelope missing error object (HTTP 200)",
        )
    shape("ok-missing", 200, {"data": {"a": 1}}, "Error envelope missing error object (HTTP 200)")
    shape(
        "ok-upper-case-name",
        200,
        {"OK": True, "data": {"a": 1}},
        "Error envelope missing error object (HTTP 200)",
    )
    shape(
        "ok-duplicate-last-wins",
        200,
        '{"ok":true,"data":{"a":1},"ok":false}',
        "Error envelope missing error object (HTTP 200)",
    )
    shape("empty-object", 503, {}, "Error envelope missing error object (HTTP 503)")
    for name, value in (("string", "boom"), ("null", None), ("list", [{"code": "X"}]), ("number", 5)):
        shape(
            f"error-{name}-is-no-object",
            400,
            {"ok": False, "error": value},
            "Error envelope missing error object (HTTP 400)",
        )
    shape(
        "error-missing-at-401",
        401,
        {"detail": "Not authenticated"},
        "Error envelope missing error object (HTTP 401)",
    )
    shape("error-missing-at-429", 429, {"ok": False}, "Error envelope missing error object (HTTP 429)")
    shape(
        "error-rfc6749-string",
        400,
        {"error": "invalid_client"},
        "Error envelope missing error object (HTTP 400)",
    )

    # --- 1. rate limit
    put("rate-limit-by-status", 429, fail("SLOW_DOWN"), "rate_limit", "SLOW_DOWN", "Nope")
    put("rate-limit-by-code", 400, fail("RATE_LIMIT_EXCEEDED"), "rate_limit", "RATE_LIMIT_EXCEEDED", "Nope")
    put(
        "rate-limit-by-both-with-detail",
        429,
        fail("RATE_LIMIT_EXCEEDED", detail={"retry_after": 7}),
        "rate_limit",
        "RATE_LIMIT_EXCEEDED",
        "Nope",
        {"retry_after": 7},
    )
    put(
        "rate-limit-status-before-auth-code",
        429,
        fail("INVALID_AGENT_TOKEN"),
        "rate_limit",
        "INVALID_AGENT_TOKEN",
        "Nope",
    )
    put(
        "rate-limit-code-before-auth-status",
        401,
        fail("RATE_LIMIT_EXCEEDED"),
        "rate_limit",
        "RATE_LIMIT_EXCEEDED",
        "Nope",
    )
    put(
        "rate-limit-code-at-200",
        200,
        fail("RATE_LIMIT_EXCEEDED"),
        "rate_limit",
        "RATE_LIMIT_EXCEEDED",
        "Nope",
    )
    put(
        "rate-limit-without-code",
        429,
        {"ok": False, "error": {}},
        "rate_limit",
        "UNKNOWN_ERROR",
        "Unknown error",
    )
    put(
        "rate-limit-code-in-lower-case-is-api",
        400,
        fail("rate_limit_exceeded"),
        "api",
        "rate_limit_exceeded",
        "Nope",
    )
    # --- 3. authentication
    put("auth-by-status", 401, fail("WHATEVER"), "authentication", "WHATEVER", "Nope")
    put(
        "auth-by-status-without-code",
        401,
        {"ok": False, "error": {}},
        "authentication",
        "UNKNOWN_ERROR",
        "Unknown error",
    )
    for code in AUTH_CODES:
        put(
            f"auth-by-code-{code.lower().replace('_', '-')}",
            403,
            fail(code, f"m {code}"),
            "authentication",
            code,
            f"m {code}",
        )
    put("auth-code-at-200", 200, fail("SITE_TOKEN_INVALID"), "authentication", "SITE_TOKEN_INVALID", "Nope")
    put("auth-code-at-500", 500, fail("MISSING_AGENT_TOKEN"), "authentication", "MISSING_AGENT_TOKEN", "Nope")
    put(
        "auth-with-detail",
        401,
        fail("SITE_TOKEN_INVALID", detail={"hint": "rotate"}),
        "authentication",
        "SITE_TOKEN_INVALID",
        "Nope",
        {"hint": "rotate"},
    )
    put(
        "auth-code-in-lower-case-is-api", 403, fail("site_token_invalid"), "api", "site_token_invalid", "Nope"
    )
    put(
        "auth-code-with-a-space-is-api",
        403,
        fail("SITE_TOKEN_INVALID "),
        "api",
        "SITE_TOKEN_INVALID ",
        "Nope",
    )
    put("auth-403-alone-is-api", 403, fail("FORBIDDEN"), "api", "FORBIDDEN", "Nope")
    # --- 4. everything else
    for status, code in (
        (400, "INVALID_POW"),
        (400, "MISSING_POW_NONCE"),
        (404, "SITE_LOGIN_REQUEST_NOT_FOUND"),
        (409, "SITE_LOGIN_CONFLICT"),
        (422, "VALIDATION_ERROR"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (301, "MOVED"),
        (200, "ODD"),
    ):
        put(
            f"api-{status}-{code.lower().replace('_', '-')}",
            status,
            fail(code, "Message \u6797"),
            "api",
            code,
            "Message \u6797",
        )
    put("api-defaults", 400, {"ok": False, "error": {}}, "api", "UNKNOWN_ERROR", "Unknown error")
    put("api-default-code", 400, fail(), "api", "UNKNOWN_ERROR", "Nope")
    put("api-default-message", 400, fail("X", ...), "api", "X", "Unknown error")
    put("api-empty-code-and-message-stay-empty", 400, fail("", ""), "api", "", "")
    put("api-integer-code-and-message", 400, fail(42, -7), "api", "42", "-7")
    put("api-ok-missing", 400, {"error": {"code": "X", "message": "y"}}, "api", "X", "y")
    put(
        "api-ok-number-with-error",
        400,
        {"ok": 1, "data": {}, "error": {"code": "X", "message": "y"}},
        "api",
        "X",
        "y",
    )
    put(
        "api-duplicate-code-last-wins",
        400,
        '{"ok":false,"error":{"code":"SITE_SUSPENDED","code":"X","message":"y"}}',
        "api",
        "X",
        "y",
    )
    put(
        "api-duplicate-error-last-wins",
        400,
        '{"ok":false,"error":{"code":"A","message":"a"},"error":{"code":"B","message":"b"}}',
        "api",
        "B",
        "b",
    )
    put("api-message-not-trimmed", 400, fail("X", " a\nb "), "api", "X", " a\nb ")
    put(
        "api-detail-object",
        409,
        fail("X", detail={"a": [1, {"b": None}], "\u00e9": "\U0001f34b"}),
        "api",
        "X",
        "Nope",
        {"a": [1, {"b": None}], "\u00e9": "\U0001f34b"},
    )
    put("api-detail-empty-object", 409, fail("X", detail={}), "api", "X", "Nope", {})
    for name, value in (("list", [1]), ("string", "x"), ("null", None), ("number", 3), ("true", True)):
        put(f"api-detail-{name}-does-not-count", 409, fail("X", detail=value), "api", "X", "Nope")

    return {
        "about": "HTTP status + body -> data object or error, after PROTOCOL.md section 1 (mapping steps 1, 3 and 4). See README.md.",
        "cases": c.items,
    }


# --------------------------------------------------------------------------- timestamps.json


def make_timestamps() -> dict:
    c = Cases()
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)

    def put(case_id: str, text: str, offset: int | None, *utc: int) -> None:
        """`utc`: the same moment by hand, as year, month, day, hour, minute, second, microsecond."""
        micros = (datetime(*utc, tzinfo=timezone.utc) - epoch) // timedelta(microseconds=1)
        value = datetime.fromisoformat(text.replace("Z", "+00:00"))
        assert (value.utcoffset() is None) == (offset is None), case_id
        if offset is not None:
            assert value.utcoffset() == timedelta(seconds=offset), case_id
        else:
            value = value.replace(tzinfo=timezone.utc)
        assert (value - epoch) // timedelta(microseconds=1) == micros, case_id
        c.add(case_id, text=text, unix_micros=micros, offset_seconds=offset)

    def bad(case_id: str, text: str) -> None:
        try:
            datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            c.add(case_id, text=text, error="bad_response")
        else:
            raise AssertionError(f"{case_id}: Python accepts {text!r}")

    put("utc-z", "2026-08-01T12:34:56Z", 0, 2026, 8, 1, 12, 34, 56)
    put("utc-z-space", "2026-08-01 12:34:56Z", 0, 2026, 8, 1, 12, 34, 56)
    put("utc-offset", "2026-08-01T12:34:56+00:00", 0, 2026, 8, 1, 12, 34, 56)
    put("utc-minus-zero", "2026-08-01T12:34:56-00:00", 0, 2026, 8, 1, 12, 34, 56)
    put("east", "2026-08-01T12:34:56+02:00", 7200, 2026, 8, 1, 10, 34, 56)
    put("west-half-hour", "2026-08-01T12:34:56-05:30", -19800, 2026, 8, 1, 18, 4, 56)
    put("east-quarter-hour-space", "2026-08-01 00:10:00+05:45", 20700, 2026, 7, 31, 18, 25, 0)
    put("east-into-the-last-year", "2026-01-01T00:30:00+14:00", 50400, 2025, 12, 31, 10, 30)
    put("west-into-the-next-year", "2025-12-31T23:30:00-12:00", -43200, 2026, 1, 1, 11, 30)
    for digits in range(1, 7):
        text = "123456"[:digits]
        put(
            f"fraction-of-{digits}",
            f"2026-08-01T12:34:56.{text}Z",
            0,
            2026,
            8,
            1,
            12,
            34,
            56,
            int(text.ljust(6, "0")),
        )
    put("fraction-leading-zeros", "2026-08-01T12:34:56.000007Z", 0, 2026, 8, 1, 12, 34, 56, 7)
    put(
        "fraction-of-9-is-cut-not-rounded",
        "2026-08-01T12:34:56.123456789Z",
        0,
        2026,
        8,
        1,
        12,
        34,
        56,
        123456,
    )
    put("fraction-of-9-nines", "2026-08-01T12:34:56.999999999Z", 0, 2026, 8, 1, 12, 34, 56, 999999)
    put("fraction-with-offset", "2026-08-01T12:34:56.5+02:00", 7200, 2026, 8, 1, 10, 34, 56, 500000)
    put("naive", "2026-08-01T12:34:56", None, 2026, 8, 1, 12, 34, 56)
    put("naive-space-fraction", "2026-08-01 12:34:56.25", None, 2026, 8, 1, 12, 34, 56, 250000)
    put("epoch", "1970-01-01T00:00:00Z", 0, 1970, 1, 1)
    put("before-the-epoch", "1969-12-31T23:59:59.5Z", 0, 1969, 12, 31, 23, 59, 59, 500000)
    put("midnight", "2026-08-01T00:00:00Z", 0, 2026, 8, 1)
    put("last-second-of-a-day", "2026-12-31T23:59:59Z", 0, 2026, 12, 31, 23, 59, 59)
    put("leap-day", "2024-02-29T00:00:00Z", 0, 2024, 2, 29)
    put("leap-day-of-2000", "2000-02-29T23:59:59Z", 0, 2000, 2, 29, 23, 59, 59)
    put("leap-day-reached-by-the-offset", "2024-03-01T00:30:00+01:00", 3600, 2024, 2, 29, 23, 30)
    put("after-2038", "2038-01-19T03:14:08Z", 0, 2038, 1, 19, 3, 14, 8)
    put("year-9999", "9999-12-31T23:59:59.999999Z", 0, 9999, 12, 31, 23, 59, 59, 999999)
    put("year-1", "0001-01-01T00:00:00Z", 0, 1, 1, 1)

    for case_id, text in (
        ("empty", ""),
        ("space", " "),
        ("word", "tomorrow"),
        ("null-word", "None"),
        ("unix-seconds", "1700000000"),
        ("month-13", "2026-13-01T00:00:00Z"),
        ("month-0", "2026-00-01T00:00:00Z"),
        ("day-0", "2026-01-00T00:00:00Z"),
        ("day-32", "2026-01-32T00:00:00Z"),
        ("february-30", "2026-02-30T00:00:00Z"),
        ("february-29-of-a-common-year", "2026-02-29T00:00:00Z"),
        ("february-29-of-1900", "1900-02-29T00:00:00Z"),
        ("april-31", "2026-04-31T00:00:00Z"),
        ("hour-25", "2026-08-01T25:00:00Z"),
        ("minute-60", "2026-08-01T12:60:00Z"),
        ("second-61", "2026-08-01T12:00:61Z"),
        ("year-0", "0000-01-01T00:00:00Z"),
        ("one-digit-fields", "2026-8-1T1:2:3Z"),
        ("slashes", "2026/08/01 12:00:00"),
        ("time-missing-after-t", "2026-08-01T"),
        ("trailing-text", "2026-08-01T12:00:00Zjunk"),
        ("trailing-space", "2026-08-01T12:00:00Z "),
        ("leading-space", " 2026-08-01T12:00:00Z"),
        ("two-offsets", "2026-08-01T12:00:00Z+02:00"),
        ("offset-25-hours", "2026-08-01T12:00:00+25:00"),
        ("offset-letters", "2026-08-01T12:00:00+ab:cd"),
        ("sign-without-offset", "2026-08-01T12:00:00+"),
        ("fraction-letters", "2026-08-01T12:00:00.12x4Z"),
        ("negative-year", "-2026-08-01T12:00:00Z"),
        ("http-date", "Sat, 01 Aug 2026 12:00:00 GMT"),
        ("named-zone", "2026-08-01T12:00:00 UTC"),
        ("letters-for-digits", "2O26-08-01T12:00:00Z"),
    ):
        bad(f"refused-{case_id}", text)
    return {
        "about": "ISO 8601 timestamps -> microseconds since 1970 and the offset as written (null: none given, counted as UTC). See README.md.",
        "cases": c.items,
    }


# --------------------------------------------------------------------------- files

FILES = {
    "pow.json": make_pow,
    "passports.json": make_passports,
    "sse.json": make_sse,
    "envelopes.json": make_envelopes,
    "timestamps.json": make_timestamps,
}


def render(document: dict) -> str:
    """ASCII JSON with one case per line."""
    parts = []
    for name, value in document.items():
        if isinstance(value, list):
            body = "[\n" + ",\n".join("  " + json.dumps(item, allow_nan=False) for item in value) + "\n ]"
        elif isinstance(value, dict):
            body = (
                "{\n"
                + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in value.items())
                + "\n }"
            )
        else:
            body = json.dumps(value)
        parts.append(f" {json.dumps(name)}: {body}")
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    assert text.isascii() and json.loads(text) == document
    return text


def differences(committed: str, wanted: str) -> list[str]:
    try:
        old = {case["id"]: case for case in json.loads(committed)["cases"]}
    except (ValueError, KeyError, TypeError) as exc:
        return [f"unreadable: {exc!r}"]
    new = {case["id"]: case for case in json.loads(wanted)["cases"]}
    out = [f"missing: {i}" for i in new if i not in old] + [
        f"not generated: {i}" for i in old if i not in new
    ]
    out += [f"differs: {i}" for i in new if i in old and old[i] != new[i]]
    return out or ["only the order, the layout or a top-level member differs"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed files, write nothing"
    )
    parser.add_argument("--make-keys", action="store_true", help="create keys.json when there is none")
    args = parser.parse_args()
    if args.make_keys:
        if KEYS_FILE.exists():
            print("keys.json exists; new keys would change every passport. Remove it first.", file=sys.stderr)
            return 1
        KEYS_FILE.write_bytes((json.dumps(make_keys(), indent=1) + "\n").encode())
        return 0
    failed = False
    for name, make in FILES.items():
        document = make()
        wanted = render(document)
        path = HERE / name
        if not args.check:
            path.write_bytes(wanted.encode())
            print(f"{name}: {len(document['cases'])} cases")
            continue
        committed = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        if committed == wanted:
            print(f"{name}: ok, {len(document['cases'])} cases")
            continue
        failed = True
        lines = differences(committed, wanted) if path.exists() else ["file is missing"]
        print(f"{name}: DIFFERS")
        for line in lines[:20]:
            print(f"  {line}")
        if len(lines) > 20:
            print(f"  and {len(lines) - 20} more")
    return 1 if failed else 0


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore", module=r"jwt")  # short keys are here on purpose
    sys.exit(main())
