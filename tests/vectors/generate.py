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


def sign_number(keys: Keys, name: str, number: int) -> bytes:
    """What the key's owner makes of a number, whatever it means."""
    n = keys.n(name)
    return pow(number, int_b64u(keys.jwks[name]["d"]), n).to_bytes((n.bit_length() + 7) // 8, "big")


def wrong_encodings(message: bytes, size: int) -> dict[str, bytes]:
    """EMSA-PKCS1-v1_5 as it must not be, one thing at a time: what lenient verifiers were found to take."""
    digest = hashlib.sha256(message).digest()
    right = SHA256_INFO + digest

    def padded(t: bytes, kind: int = 1, fill: bytes = b"\xff") -> bytes:
        return bytes([0, kind]) + fill * (size - len(t) - 3) + b"\0" + t

    good = padded(right)
    assert good == emsa_pkcs1(message, size)
    oid = bytes.fromhex("0609608648016503040201")
    other_oid = {"sha1": "06052b0e03021a", "sha512": "0609608648016503040203"}
    octets = b"\x04\x20" + digest

    def info(algorithm: bytes) -> bytes:
        return bytes([0x30, len(algorithm) + len(octets)]) + algorithm + octets

    short = b"\0\1" + b"\xff" * 8 + b"\0" + right
    wrong = {
        "type-0": padded(right, 0, b"\0"),
        "type-0-filled": padded(right, 0),
        "type-2": padded(right, 2, b"\x17"),
        "one-fill-byte-changed": good[:40] + b"\xfe" + good[41:],
        "fill-begins-with-zero": b"\0\1\0" + good[3:],
        "no-zero-before-the-digest": good.replace(b"\xff\0" + right, b"\xff\xff" + right),
        "first-byte-not-zero": b"\1" + good[1:],
        "garbage-after-the-digest": short + b"\xa5" * (size - len(short)),
        "zeros-after-the-digest": short + b"\0" * (size - len(short)),
        "garbage-before-the-digest": good[:11] + b"\0" + b"\xa5" * (size - 12 - len(right)) + right,
        "no-digest-info": padded(digest),
        "no-digest": padded(SHA256_INFO),
        "digest-cut": padded(right[:-1]),
        "digest-one-byte-longer": padded(right + b"\0"),
        "no-null": padded(info(b"\x30" + bytes([len(oid)]) + oid)),
        "null-of-another-form": padded(info(b"\x30" + bytes([len(oid) + 3]) + oid + b"\x05\x81\x00")),
        "octets-for-null": padded(info(b"\x30" + bytes([len(oid) + 4]) + oid + b"\x04\x02\xa5\xa5")),
        "long-form-of-the-length": padded(b"\x30\x81" + right[1:]),
        "endless-form-of-the-length": padded(b"\x30\x80" + right[2:] + b"\0\0"),
        **{
            f"named-{name}": padded(info(bytes([0x30, len(text) // 2 + 2]) + bytes.fromhex(text) + b"\x05\0"))
            for name, text in other_oid.items()
        },
    }
    assert all(len(encoded) == size and encoded != good for encoded in wrong.values())
    return wrong


def cube_root_forgery(message: bytes, size: int) -> bytes:
    """A "signature" for a key with e = 3 that nobody has signed: its cube begins as an encoded digest does, and is taken
    by who does not look at what comes after the digest (Bleichenbacher, 2006)."""
    head = b"\0\1\xff\xff\0" + SHA256_INFO + hashlib.sha256(message).digest()
    rest = size - len(head)
    target = int.from_bytes(head + b"\xff" * rest, "big")
    low, high = 0, 1 << (8 * size // 3 + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= target else (low, middle)
    assert (low**3).to_bytes(size, "big").startswith(head)
    return low.to_bytes(size, "big")


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


LOGIN, BINDING = ("lime-site-login", 120), ("lime-binding", 60)


def verify_by_the_rules(case: dict, document: dict, kind: tuple[str, int] = LOGIN) -> dict:
    """The rules of the protocol, plainly; the signature is PyJWT's affair."""
    bad = "invalid_passport"
    audience, longest_life = kind
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
    if claims.get("aud") != audience:
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
    # A second that has begun is over, as PyJWT has it.
    if int(exp) <= now:
        raise Refused("passport_expired", "JWT has expired")
    if exp - iat > longest_life:
        raise Refused(bad, "JWT TTL exceeds")
    if iat > now + 30:
        raise Refused(bad, "iat in the future")
    if "nbf" in claims:
        if not is_number(claims["nbf"]) or claims["nbf"] > now + 30:
            raise Refused(bad, "nbf")
    for name in ("sub", "jti"):
        if not isinstance(claims.get(name, ""), str):
            raise Refused(bad, f"JWT {name} claim must be a string")
    if "expected_request_id" in case:
        claim = claims.get("request_id")
        if not isinstance(claim, str) or claim != case["expected_request_id"]:
            raise Refused(bad, "JWT request_id claim does not match")
    if kind == BINDING:
        claim = claims.get("binding_id")
        if not isinstance(claim, str) or not claim.strip():
            raise Refused(bad, "JWT missing binding_id claim")
        if claim != case.get("expected_binding_id", claim):
            raise Refused(bad, "JWT binding_id claim does not match")
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
    good("exp-a-second-and-a-half-ahead", claims_with(exp=NOW + 1.5))
    good("exp-as-float", claims_with(exp=NOW + 60.25))
    good("iat-as-float", claims_with(iat=NOW - 0.75))
    good(
        "exp-in-scientific-notation",
        f'{{"aud":"lime-site-login","exp":1.75000006e9,"iat":{NOW}}}',
        claims_with(iss=..., exp=1750000060.0),
    )
    good("fractional-clock", claims_with(exp=NOW + 1), now=NOW + 0.75)
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

    for alg in ("ES256", "ES256K", "EdDSA", "HS384", "HS512", "RSA-OAEP", "dir", "RS256\0"):
        name = re.sub("[^a-z0-9]+", "-", alg.lower().replace("\0", "-nul"))
        bad(f"alg-{name}", token(header={**head, "alg": alg}))
    bad("alg-es256-with-an-ec-key", token(header={**head, "alg": "ES256"}), set_name="ec-only")

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

    for name in wrong_encodings(b"", 256):

        def sign_wrong(k: Keys, key: str, message: bytes, wrong: str = name) -> bytes:
            return sign_number(k, key, int.from_bytes(wrong_encodings(message, 256)[wrong], "big"))

        # What is not smaller than the modulus cannot be signed as it is; it is another number then, and as wrong.
        bad(f"encoding-{name}", token(sign=sign_wrong), "signature")
    bad(
        "encoding-forged-for-e-3", token(sign=lambda _k, _n, m: cube_root_forgery(m, 256)), "signature", "e-3"
    )
    n_main = keys.n("main")
    for name, number in (("one", 1), ("two", 2), ("modulus", n_main), ("modulus-minus-one", n_main - 1)):
        bad(f"signature-{name}", f"{h}.{p}.{b64u(number.to_bytes(256, 'big'))}", "signature")
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
    bad("exp-half-a-second-ahead", token(claims_with(exp=NOW + 0.5)), **gone)
    bad("exp-ahead-within-the-second", token(claims_with(exp=NOW + 0.75)), now=NOW + 0.25, **gone)
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

    # --- texts
    for claim in ("sub", "jti"):
        for value, name in (
            (5, "number"),
            (None, "null"),
            (["agt_1"], "list"),
            ({}, "object"),
            (True, "true"),
        ):
            bad(f"{claim}-{name}", token(claims_with(**{claim: value})), f"{claim} claim")
    bad("sub-number-beside-agent-id", token(claims_with(sub=5, agent_id="agt_1")), "sub claim")

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
    bad("order-nbf-before-sub", token(claims_with(nbf=NOW + 99, sub=5)), "nbf")
    bad("order-sub-before-jti", token(claims_with(sub=5, jti=5)), "sub")
    bad("order-jti-before-request-id", token(claims_with(jti=5)), "jti", expected_request_id="a")
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


# --------------------------------------------------------------------------- bindings.json


def make_bindings() -> dict:
    keys = Keys()
    c = Cases()
    jwks = {
        "bare": {"keys": [keys.public("main")]},
        "envelope": {"ok": True, "data": {"keys": [keys.public("main")]}},
        "other-key-same-kid": {"keys": [keys.public("second")]},
        "rsa-1024": {"keys": [keys.public("rsa1024")]},
        "empty": {"keys": []},
    }
    head = {"alg": "RS256", "kid": KID, "typ": "JWT"}
    minimal = {"aud": "lime-binding", "exp": NOW + 60, "iat": NOW, "binding_id": "br_1"}
    base = {"iss": "https://lime.pics", **minimal}

    def with_claims(**changed: object) -> dict:
        return {k: v for k, v in {**base, **changed}.items() if v is not ...}

    def token(payload: object = base, header: object = head, key: str = "main", sign=sign_rs256) -> str:
        raw = payload if isinstance(payload, bytes) else compact(payload).encode()
        message = b64u(compact(header).encode()) + "." + b64u(raw)
        return message + "." + b64u(sign(keys, key, message.encode()))

    def put(case_id: str, text: str, expect: dict, set_name: str = "bare", **options: object) -> None:
        case = {"jwt": text, "jwks": set_name, "now": NOW, "api_root": ROOT, **options, "expect": expect}
        try:
            got: object = verify_by_the_rules(case, jwks[set_name], BINDING)
        except Refused as exc:
            assert expect.get("error") == exc.kind, f"{case_id}: expected {expect}, rules say {exc}"
            assert expect.get("message_contains", "") in exc.message, f"{case_id}: {expect} but {exc}"
        else:
            assert got == expect.get("claims"), f"{case_id}: expected {expect}, the rules accept {got}"
        c.add(case_id, **case)

    def good(case_id: str, payload: dict = base, claims: dict | None = None, **options: object) -> None:
        put(case_id, token(payload), {"claims": payload if claims is None else claims}, **options)

    def bad(
        case_id: str, text: str, contains: str = "", kind: str = "invalid_passport", **options: object
    ) -> None:
        put(case_id, text, {"error": kind, **({"message_contains": contains} if contains else {})}, **options)

    # --- accepted
    good("minimal", minimal)
    good("with-issuer")
    good("with-issuer-that-is-required", require_issuer=True)
    good("enveloped-jwks", set_name="envelope")
    full = {
        "iss": "https://lime.pics",
        "sub": "agt_1",
        "aud": "lime-binding",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 60,
        "jti": "5d1c",
        "binding_id": "br_42",
        "site_id": "site_7",
        "user_id": "usr_3",
        "passport_version": "5",
        "display_name": "Zo\u00eb \U0001f34b",
    }
    named = {**{k: v for k, v in full.items() if k != "sub"}, "agent_id": "agt_1"}
    good("all-claims-sub-becomes-agent-id", full, named)
    good("all-claims-for-the-expected-binding", full, named, expected_binding_id="br_42", require_issuer=True)
    good(
        "agent-id-wins-and-sub-is-dropped",
        with_claims(sub="agt_1", agent_id="agt_2"),
        with_claims(agent_id="agt_2"),
    )
    good("binding-id-is-not-trimmed", with_claims(binding_id=" br_1 "), expected_binding_id=" br_1 ")
    good(
        "binding-id-beyond-ascii",
        with_claims(binding_id="br_\u00fc\U0001f34b"),
        expected_binding_id="br_\u00fc\U0001f34b",
    )
    good("request-id-does-not-matter", with_claims(request_id="lr_1"))
    good("life-of-60-seconds")
    good("life-of-60-seconds-in-floats", with_claims(exp=NOW + 60.25, iat=NOW + 0.25))
    good("life-of-one-second", with_claims(exp=NOW + 1))
    good("last-moment", now=NOW + 59.5)
    good("iat-30-seconds-ahead", with_claims(iat=NOW + 30, exp=NOW + 90))
    good("nbf-30-seconds-ahead", with_claims(nbf=NOW + 30))
    good(
        "issuer-with-another-api-root",
        with_claims(iss="http://127.0.0.1:8080"),
        api_root="http://127.0.0.1:8080/api/v1",
    )

    # --- of another kind
    bad("login-passport", token(with_claims(aud="lime-site-login", request_id="lr_1")), "audience")
    bad(
        "login-passport-without-binding-id",
        token(with_claims(aud="lime-site-login", binding_id=...)),
        "audience",
    )
    bad("mcp-token", token(with_claims(aud="mcp", domain="example.com")), "audience")
    for name, value in (
        ("missing", ...),
        ("null", None),
        ("empty", ""),
        ("upper-case", "LIME-BINDING"),
        ("with-a-space", "lime-binding "),
        ("list", ["lime-binding"]),
        ("list-of-both", ["lime-site-login", "lime-binding"]),
        ("number", 1),
        ("object", {"lime-binding": True}),
    ):
        bad(f"audience-{name}", token(with_claims(aud=value)), "audience")

    # --- binding_id
    for name, value in (
        ("missing", ...),
        ("null", None),
        ("empty", ""),
        ("blank", "   "),
        ("white-space", "\t\r\n\u00a0\u2003\u3000"),
        ("number", 7),
        ("true", True),
        ("list", ["br_1"]),
        ("object", {"id": "br_1"}),
    ):
        bad(f"binding-id-{name}", token(with_claims(binding_id=value)), "binding_id")
        bad(
            f"binding-id-{name}-where-one-is-expected",
            token(with_claims(binding_id=value)),
            "binding_id",
            expected_binding_id="br_1",
        )
    for name, expected in (
        ("another", "br_2"),
        ("longer", "br_11"),
        ("shorter", "br_"),
        ("upper-case", "BR_1"),
        ("with-a-space", "br_1 "),
    ):
        bad(f"expected-binding-{name}", token(), "does not match", expected_binding_id=expected)

    # --- time
    gone = {"kind": "passport_expired", "contains": "expired"}
    bad("expired", token(with_claims(exp=NOW - 1, iat=NOW - 61)), **gone)
    bad("expired-this-moment", token(), now=NOW + 60, **gone)
    bad("expired-by-a-fraction", token(), now=NOW + 60.25, **gone)
    bad("expired-within-the-second", token(with_claims(exp=NOW + 0.5)), **gone)
    bad("sub-number", token(with_claims(sub=5)), "sub claim")
    bad("jti-list", token(with_claims(jti=["5d1c"])), "jti claim")
    bad("life-of-61-seconds", token(with_claims(exp=NOW + 61)), "TTL")
    bad("life-of-a-fraction-too-long", token(with_claims(exp=NOW + 60.5)), "TTL")
    bad("life-of-a-login-passport", token(with_claims(exp=NOW + 120)), "TTL")
    bad("life-of-61-seconds-most-of-it-over", token(with_claims(exp=NOW + 1, iat=NOW - 60)), "TTL")
    bad("iat-31-seconds-ahead", token(with_claims(iat=NOW + 31, exp=NOW + 91)), "iat")
    bad("nbf-31-seconds-ahead", token(with_claims(nbf=NOW + 31)), "nbf")
    bad("nbf-text", token(with_claims(nbf="soon")), "nbf")
    for name in ("exp", "iat"):
        for what, value in (("missing", ...), ("text", str(NOW + 60)), ("null", None), ("true", True)):
            bad(f"{name}-{what}", token(with_claims(**{name: value})), "exp or iat")

    # --- issuer
    bad("issuer-missing-where-required", token(minimal), "iss", require_issuer=True)
    for name, value in (
        ("another", "https://evil.example"),
        ("prefix", "https://lime.pics.evil.example"),
        ("http", "http://lime.pics"),
        ("with-a-path", "https://lime.pics/api/v1"),
        ("empty", ""),
        ("number", 5),
    ):
        bad(f"issuer-{name}", token(with_claims(iss=value)), "issuer")

    # --- signature
    bad("signed-by-an-attacker", token(key="attacker"), "signature")
    bad("another-key-with-our-kid", token(), "signature", set_name="other-key-same-kid")
    bad("key-too-short", token(key="rsa1024"), "Unknown JWT kid", set_name="rsa-1024")
    bad("no-keys", token(), "Unknown JWT kid", set_name="empty")
    bad("unknown-kid", token(header={**head, "kid": "nobody"}), "Unknown JWT kid: nobody")
    bad("without-kid", token(header={"alg": "RS256"}), "kid")
    bad("alg-none", token(header={**head, "alg": "none"}))
    bad("ps256", token(header={**head, "alg": "PS256"}, sign=sign_ps256))
    bad("crit", token(header={**head, "crit": ["exp"]}))
    signed, _, signature = token().rpartition(".")
    other = token(with_claims(binding_id="br_2")).rpartition(".")[0]
    bad("signature-of-another-passport", f"{other}.{signature}", "signature")
    bad("without-signature", f"{signed}.")
    bad("not-a-jwt", "bc_code", "")
    bad("empty", "", "")
    bad("duplicate-binding-id", token(compact(base)[:-1].encode() + b',"binding_id":"br_2"}'))
    bad("payload-is-a-list", token([base]))

    # --- which of several faults is told
    worst = {"iss": "https://evil.example", "binding_id": "", "exp": NOW - 500, "iat": NOW - 1000}
    bad("order-signature-before-audience", token(with_claims(aud="x", **worst), key="attacker"), "signature")
    bad("order-audience-before-issuer", token(with_claims(aud="x", **worst)), "audience")
    bad("order-issuer-before-expiry", token(with_claims(**worst)), "issuer")
    worst["iss"] = "https://lime.pics"
    bad("order-expiry-before-ttl", token(with_claims(**worst)), **gone)
    bad("order-ttl-before-binding-id", token(with_claims(exp=NOW + 61, binding_id="")), "TTL")
    bad("order-nbf-before-binding-id", token(with_claims(nbf=NOW + 99, binding_id="")), "nbf")

    return {
        "about": "Binding passports: RS256 JWT + key set + clock -> claims or error. jwks holds the key documents by "
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


OWN_KINDS = {
    "AGENT_INACTIVE": "agent_inactive",
    "AGENT_USER_SUSPENDED": "agent_user_suspended",
    "AUTH_UNAVAILABLE": "auth_unavailable",
    "SITE_TOKEN_AUTH_UNAVAILABLE": "site_auth_unavailable",
}


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
    elif code in OWN_KINDS:
        kind = OWN_KINDS[code]
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
    # --- 2. codes with a kind of their own
    for code, usual, kind in (
        ("AGENT_INACTIVE", 403, "agent_inactive"),
        ("AGENT_USER_SUSPENDED", 403, "agent_user_suspended"),
        ("AUTH_UNAVAILABLE", 503, "auth_unavailable"),
        ("SITE_TOKEN_AUTH_UNAVAILABLE", 503, "site_auth_unavailable"),
    ):
        name = kind.replace("_", "-")
        put(f"own-kind-{name}", usual, fail(code, f"m {code}"), kind, code, f"m {code}")
        put(f"own-kind-{name}-before-auth-status", 401, fail(code), kind, code, "Nope")
        put(f"own-kind-{name}-whatever-the-status", 200, fail(code), kind, code, "Nope")
        put(f"own-kind-{name}-after-rate-limit-status", 429, fail(code), "rate_limit", code, "Nope")
        put(
            f"own-kind-{name}-with-detail",
            usual,
            fail(code, detail={"until": None}),
            kind,
            code,
            "Nope",
            {"until": None},
        )
        put(f"own-kind-{name}-in-lower-case-is-api", usual, fail(code.lower()), "api", code.lower(), "Nope")
        put(
            f"own-kind-{name}-in-lower-case-at-401",
            401,
            fail(code.lower()),
            "authentication",
            code.lower(),
            "Nope",
        )
    put(
        "own-kind-part-of-a-code-is-api",
        503,
        fail("TOKEN_AUTH_UNAVAILABLE"),
        "api",
        "TOKEN_AUTH_UNAVAILABLE",
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
        ("zone-in-brackets", "2026-08-01T12:00:00+02:00[Europe/Berlin]"),
        ("calendar-in-brackets", "2026-08-01T12:00:00Z[u-ca=hebrew]"),
        ("nothing-in-brackets", "2026-08-01T12:00:00Z[x=y][!u-ca=iso8601]"),
        ("letters-for-digits", "2O26-08-01T12:00:00Z"),
    ):
        bad(f"refused-{case_id}", text)
    return {
        "about": "ISO 8601 timestamps -> microseconds since 1970 and the offset as written (null: none given, counted as UTC). See README.md.",
        "cases": c.items,
    }


# --------------------------------------------------------------------------- webhooks.json

SIGNATURE, TIMESTAMP = "X-Sesame-Signature", "X-Sesame-Timestamp"
TOLERANCE_MS = 300_000
# The reasons in the order in which they are looked for.
REASONS = (
    "empty_secret",
    "missing_header",
    "malformed_header",
    "too_old",
    "too_new",
    "mismatch",
    "not_json",
    "not_an_object",
    "replayed",
    "undatable",
)


def hmac_sha256(key: bytes, message: bytes) -> str:
    """RFC 2104 by hand, and once more by the library."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    own = hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()
    assert own == hmac.new(key, message, hashlib.sha256).hexdigest()
    return own


def field_of(holder: dict, name: str) -> bytes:
    text = holder.get(name)
    return base64.b64decode(holder[f"{name}_base64"]) if text is None else text.encode()


def as_field(name: str, value: str | bytes) -> dict:
    """Text where it is text, base64 where it is not."""
    if isinstance(value, str):
        return {name: value}
    try:
        return {name: value.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}


def webhook_json(raw: bytes) -> object:
    """JSON of RFC 8259 in UTF-8; of equal names the last counts; a hundred levels deep at the most."""

    def constant(text: str) -> object:
        raise ValueError(text)

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError("number out of range")
        return value

    def depth(value: object) -> int:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inside is None else 1 + max(map(depth, inside), default=0)

    # Brackets outnumber levels, so this is no limit of the format; it keeps Python from its own.
    if raw.count(b"[") + raw.count(b"{") > 150:
        raise ValueError("too deep")
    value = json.loads(raw.decode("utf-8"), parse_constant=constant, parse_float=number)
    assert depth(value) <= 100
    return value


def webhook_by_the_rules(case: dict) -> list[dict]:
    """What becomes of each delivery. The guard is a list here, searched from end to end."""
    secrets = [field_of(secret, "secret") for secret in case["secrets"]]
    tolerance = case.get("tolerance_ms", TOLERANCE_MS) / 1000
    guard = case.get("guard")
    admitted: list[tuple[datetime, bytes]] = []
    forgotten: list[datetime] = []  # when what was decided that is not remembered any more

    def header(delivery: dict, name: str) -> list[bytes]:
        spellings = (name.lower(), "HTTP_" + name.upper().replace("-", "_"))

        def is_it(given: str) -> bool:
            return given == spellings[1] or (given.isascii() and given.lower() == spellings[0])

        return [field_of(entry, "value") for entry in delivery["headers"] if is_it(entry["name"])]

    def verify(delivery: dict) -> dict:
        def refused(code: str, message: str | None = None) -> dict:
            found = {"error": "webhook", "code": code}
            return found if message is None else {**found, "message_contains": message}

        if not secrets or any(not secret.strip(b" \t\r\n") for secret in secrets):
            return refused("empty_secret")
        signatures, timestamps = header(delivery, SIGNATURE), header(delivery, TIMESTAMP)
        for name, values in ((SIGNATURE, signatures), (TIMESTAMP, timestamps)):
            if values in ([], [b""]):
                return refused("missing_header", f"Missing {name} header")
        if len(signatures) > 1 or not re.fullmatch(rb"[0-9A-Fa-f]{64}\Z", signatures[0]):
            return refused("malformed_header", f"Invalid {SIGNATURE} header")
        if (
            len(timestamps) > 1
            or not re.fullmatch(rb"[0-9]+\Z", timestamps[0])
            or int(timestamps[0]) >= 2**64
        ):
            return refused("malformed_header", f"Invalid {TIMESTAMP} header")
        now, sent = delivery["now"], int(timestamps[0])
        if abs(now - sent) > tolerance:
            message = "Webhook timestamp outside tolerance window"
            return refused("too_old" if sent < now else "too_new", message)
        body = field_of(delivery, "body")
        given = signatures[0].decode().lower()
        if given not in [hmac_sha256(secret, body) for secret in secrets]:
            return refused("mismatch", "Webhook signature mismatch")
        try:
            payload = webhook_json(body)
        except ValueError:
            return refused("not_json", "Webhook body is not valid JSON")
        if not isinstance(payload, dict):
            return refused("not_an_object")
        if guard and (code := admit(body, payload, now)):
            return refused(code)
        return {"payload": payload, "timestamp": sent}

    def admit(body: bytes, payload: dict, now: float) -> str | None:
        decided = payload.get("decided_at")
        try:  # a date alone is no point in time, whatever Python thinks
            if not re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", decided):
                return "undatable"
            when = datetime.fromisoformat(decided.replace("Z", "+00:00"))
        except (TypeError, ValueError):
            return "undatable"
        when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
        oldest = datetime.fromtimestamp(now, timezone.utc) - timedelta(milliseconds=guard["horizon_ms"])
        for entry in [entry for entry in admitted if entry[0] < oldest]:
            admitted.remove(entry)
            forgotten.append(entry[0])
        if any(known == body for _, known in admitted):
            return "replayed"
        if when < oldest or any(when <= gone for gone in forgotten):
            return "undatable"
        admitted.append((when, body))
        if len(admitted) > guard["capacity"]:
            first = min(admitted, key=lambda entry: entry[0])
            admitted.remove(first)
            forgotten.append(first[0])
        return None

    outcomes = []
    for delivery in case["deliveries"]:
        outcome = verify(delivery)
        if "forget" in delivery:
            known = [entry for entry in admitted if entry[1] == field_of(delivery, "body")]
            for entry in known:
                admitted.remove(entry)
            assert delivery["forget"] == bool(known), case["id"]
        outcomes.append(outcome)
    return outcomes


def make_webhooks() -> dict:
    c = Cases()
    secret, old_secret, other_secret = "whsec_3b9f0c6d2a71", "whsec_retired_17", "whsec_of_somebody_else"
    decided = {
        "approval_id": "ap_7Hq2",
        "action": "payments.refund",
        "status": "approved",
        "decided_at": "2025-06-15T15:06:39Z",  # a second before NOW
    }
    plain = compact(decided)

    def headers(
        signature: str | bytes | None, timestamp: str | bytes | int | None, *more: tuple
    ) -> list[dict]:
        """The two headers, without those that are None, then more of them."""
        two = [
            (SIGNATURE, signature),
            (TIMESTAMP, str(timestamp) if isinstance(timestamp, int) else timestamp),
        ]
        return [
            {"name": name, **as_field("value", value)} for name, value in [*two, *more] if value is not None
        ]

    def delivery(
        body: str | bytes = plain,
        signature: str | bytes | None = ...,
        timestamp: str | bytes | int | None = NOW,
        now: float = NOW,
        by: str | bytes = secret,
        more: tuple = (),
        entries: list[tuple] | None = None,
        forget: bool | None = None,
    ) -> dict:
        """One delivery; everything that is not said is right. `entries` stands for all headers."""
        raw = body if isinstance(body, bytes) else body.encode()
        if signature is ...:
            signature = hmac_sha256(by if isinstance(by, bytes) else by.encode(), raw)
        listed = (
            headers(signature, timestamp, *more)
            if entries is None
            else [{"name": name, **as_field("value", value)} for name, value in entries]
        )
        made = {"headers": listed, **as_field("body", raw), "now": now}
        return made if forget is None else {**made, "forget": forget}

    def put(case_id: str, expected: str, *deliveries: dict, **settings: object) -> None:
        """`expected`: for each delivery "ok" or the reason, by hand."""
        secrets = [as_field("secret", value) for value in settings.pop("secrets", [secret])]
        case = {"secrets": secrets, **settings, "deliveries": [dict(item) for item in deliveries]}
        outcomes = webhook_by_the_rules({"id": case_id, **case})
        got = [outcome.get("code", "ok") for outcome in outcomes]
        assert got == expected.split(), (case_id, got)
        for one, outcome in zip(case["deliveries"], outcomes):
            one["expect"] = outcome
        c.add(case_id, **case)

    def one(case_id: str, expected: str, **parts: object) -> None:
        settings = {name: parts.pop(name) for name in ("secrets", "tolerance_ms", "guard") if name in parts}
        put(case_id, expected, delivery(**parts), **settings)

    signature = hmac_sha256(secret.encode(), plain.encode())

    # --- good
    one("plain", "ok")
    put("accepted-twice-without-a-guard", "ok ok", delivery(), delivery(now=NOW + 1.5, timestamp=NOW + 1))
    one("headers-in-the-other-order", "ok", entries=[(TIMESTAMP, str(NOW)), (SIGNATURE, signature)])
    for name, spelled in (("lower", str.lower), ("upper", str.upper), ("swapped", str.swapcase)):
        one(
            f"header-names-in-{name}-case",
            "ok",
            entries=[(spelled(SIGNATURE), signature), (spelled(TIMESTAMP), str(NOW))],
        )
    wsgi = {name: "HTTP_" + name.upper().replace("-", "_") for name in (SIGNATURE, TIMESTAMP)}
    one("header-names-of-wsgi", "ok", entries=[(wsgi[TIMESTAMP], str(NOW)), (wsgi[SIGNATURE], signature)])
    one("one-header-name-of-wsgi", "ok", entries=[(SIGNATURE, signature), (wsgi[TIMESTAMP], str(NOW))])
    one(
        "among-other-headers",
        "ok",
        entries=[
            ("Host", "example.com"),
            ("Cookie", "a=1"),
            (SIGNATURE, signature),
            ("cookie", "b=2"),
            ("X-Sesame-Signature-Version", "1"),
            ("X-Note", "gr\u00fc\u00df \U0001f34b"),
            ("X-Latin-1", b"gr\xfc\xdf"),
            ("X-N\u00f6te", ""),
            ("", "nameless"),
            (TIMESTAMP, str(NOW)),
            ("wsgi.version", "1.0"),
            ("HTTP_HOST", "example.com"),
        ],
    )
    one("hex-in-upper-case", "ok", signature=signature.upper())
    mixed = "".join(x.upper() if at % 2 else x for at, x in enumerate(signature))
    one("hex-in-mixed-case", "ok", signature=mixed)
    one("rotation-signed-with-the-first", "ok", secrets=[secret, old_secret])
    one("rotation-signed-with-the-second", "ok", secrets=[secret, old_secret], by=old_secret)
    five = [f"whsec_{number}" for number in range(5)]
    one("rotation-signed-with-the-last-of-five", "ok", secrets=five, by=five[4])
    one("the-same-secret-twice", "ok", secrets=[secret, secret])
    for name, key in (
        ("one-character", "s"),
        ("non-ascii", "geh\u00e4im-\u9375-\U0001f511"),
        ("with-spaces-around", f" {secret}\n"),
        ("binary", bytes(range(256))),
        ("of-nul-bytes", b"\0\0\0"),
        ("not-utf8", b"\xff\xfe secret"),
        ("of-63-bytes", "k" * 63),
        ("of-64-bytes", "k" * 64),
        ("of-65-bytes", "k" * 65),
        ("of-1000-bytes", "key-" * 250),
    ):
        one(f"secret-{name}", "ok", secrets=[key], by=key)
    everything = {
        **decided,
        "requester_label": "J\u00f6rg \u6797 \U0001f34b",
        "dedup_key": "refund-882",
        "note": "",
        "context": {"amount": 42, "nested": {"list": [1, [2, [3, {"deep": None}]], {}], "yes": True}, "": []},
        "a later field": [False, "\u2028", '\\"/\b\f\n\r\t', "a\u0000b"],
    }
    one("utf8-body", "ok", body=json.dumps(everything, ensure_ascii=False))
    one("escaped-body", "ok", body=json.dumps(everything))
    one("indented-body", "ok", body=json.dumps(everything, indent=2))
    one("body-with-crlf", "ok", body=json.dumps(decided, indent=1).replace("\n", "\r\n") + "\r\n")
    one("body-with-white-space-around", "ok", body=f" \t\r\n{plain}\n \n")
    one("denied", "ok", body=compact({**decided, "status": "denied"}))
    one("expired-without-a-decision", "ok", body='{"approval_id":"ap_1","action":"x","status":"expired"}')
    one("empty-object", "ok", body="{}")
    one("fields-of-other-types", "ok", body='{"approval_id":7,"action":null,"status":["approved"]}')
    one(
        "duplicate-names-the-last-counts",
        "ok",
        body='{"status":"denied","n":{"a":1,"a":2},"status":"approved"}',
    )
    one(
        "numbers",
        "ok",
        body='{"zero":0,"minus":-1,"u64":18446744073709551615,"i64":-9223372036854775808,"beyond_2_53":9007199254740993,'
        '"half":0.5,"exponent":1e3,"big":1.5E+300,"small":25e-3,"minus_zero":-0.0,"price":42.10}',
    )
    one("nested-60-levels", "ok", body='{"a":' * 30 + "[" * 30 + "1" + "]" * 30 + "}" * 30)
    # SHA-256 pads at 55 and 64 bytes; the inner hash begins with 64 of its own.
    for length in (54, 55, 56, 63, 64, 65, 127, 128):
        one(f"body-of-{length}-bytes", "ok", body='{"a":"' + "x" * (length - 8) + '"}')
    one("body-of-20000-bytes", "ok", body=compact({"list": list(range(3000)), "text": "\u6797" * 2000}))

    # --- the age
    for name, expected, parts in (
        ("as-old-as-allowed", "ok", {"now": NOW + 300}),
        ("half-a-second-less-than-allowed", "ok", {"now": NOW + 299.5}),
        ("a-quarter-second-too-old", "too_old", {"now": NOW + 300.25}),
        ("a-second-too-old", "too_old", {"now": NOW + 301}),
        ("a-day-too-old", "too_old", {"now": NOW + 86_400}),
        ("of-1970", "too_old", {"timestamp": 0}),
        ("as-new-as-allowed", "ok", {"now": NOW - 300}),
        ("half-a-second-newer-than-now", "ok", {"now": NOW - 0.5}),
        ("a-quarter-second-too-new", "too_new", {"now": NOW - 300.25}),
        ("a-second-too-new", "too_new", {"now": NOW - 301}),
        ("in-milliseconds", "too_new", {"timestamp": NOW * 1000}),
        ("of-20-digits-that-fit", "too_new", {"timestamp": 2**64 - 1}),
    ):
        one(f"timestamp-{name}", expected, **parts)
    for milliseconds, name, expected, ahead in (
        (0, "to-the-second", "ok", 0),
        (0, "half-a-second-old", "too_old", 0.5),
        (0, "half-a-second-new", "too_new", -0.5),
        (500, "as-old-as-allowed", "ok", 0.5),
        (500, "as-new-as-allowed", "ok", -0.5),
        (500, "too-old", "too_old", 0.75),
        (500, "too-new", "too_new", -0.75),
        (1000, "as-old-as-allowed", "ok", 1),
        (1000, "too-old", "too_old", 1.25),
        (315_360_000_000, "nine-years-old", "ok", 9 * 31_536_000),
        (315_360_000_000, "too-old", "too_old", 10 * 31_536_000 + 1),
    ):
        one(f"tolerance-{milliseconds}-ms-{name}", expected, tolerance_ms=milliseconds, now=NOW + ahead)
    one("age-at-the-epoch", "ok", timestamp=0, now=0)
    one("age-before-the-clock-was-set", "too_new", now=0)

    # --- empty_secret
    for name, secrets in (
        ("empty", [""]),
        ("spaces", ["   "]),
        ("white-space", [" \t\r\n"]),
        ("none", []),
        ("first-of-two-empty", ["", secret]),
        ("second-of-two-empty", [secret, ""]),
        ("second-of-two-spaces", [secret, "  "]),
    ):
        one(f"empty-secret-{name}", "empty_secret", secrets=secrets)
    one("empty-secret-that-signed", "empty_secret", secrets=[""], by="")
    one("empty-secret-of-spaces-that-signed", "empty_secret", secrets=[" "], by=" ")
    one("empty-secret-without-headers", "empty_secret", secrets=[""], entries=[], body="")

    # --- missing_header
    one("missing-both", "missing_header", entries=[])
    one("missing-signature", "missing_header", signature=None)
    one("missing-timestamp", "missing_header", timestamp=None)
    one("missing-signature-is-empty", "missing_header", signature="")
    one("missing-timestamp-is-empty", "missing_header", timestamp="")
    one(
        "missing-wsgi-signature-is-empty",
        "missing_header",
        entries=[(wsgi[SIGNATURE], ""), (TIMESTAMP, str(NOW))],
    )
    for name, given in (
        ("underscores", "X_Sesame_Signature"),
        ("space-before", f" {SIGNATURE}"),
        ("space-after", f"{SIGNATURE} "),
        ("colon-after", f"{SIGNATURE}:"),
        ("one-letter-more", f"{SIGNATURE}s"),
        ("one-letter-less", SIGNATURE[:-1]),
        ("no-x", "Sesame-Signature"),
        ("another-product", "X-Hub-Signature"),
        ("wsgi-with-hyphens", "HTTP_X-SESAME-SIGNATURE"),
        ("wsgi-cut-short", "HTTP_X_SESAME_SIGNATUR"),
        ("wsgi-twice", "HTTP_" + wsgi[SIGNATURE]),
        ("long-s", "X-Se\u017fame-\u017fignature"),
        ("full-width", "\uff38-Sesame-Signature"),
        ("non-ascii-hyphen", "X\u2010Sesame\u2010Signature"),
    ):
        one(f"missing-name-{name}", "missing_header", entries=[(given, signature), (TIMESTAMP, str(NOW))])
    one("missing-signature-timestamp-malformed", "missing_header", signature=None, timestamp="soon")
    one("missing-timestamp-signature-malformed", "missing_header", signature="zz", timestamp=None)

    # --- malformed_header: the timestamp
    for name, text in (
        ("space", " "),
        ("space-before", f" {NOW}"),
        ("space-after", f"{NOW} "),
        ("newline-after", f"{NOW}\n"),
        ("tab-before", f"\t{NOW}"),
        ("plus", f"+{NOW}"),
        ("plus-17", "+17"),
        ("space-17", " 17"),
        ("minus-1", "-1"),
        ("minus-0", "-0"),
        ("underscores", "1_750_000_000"),
        ("underscore-1000", "1_000"),
        ("comma", "1,750,000,000"),
        ("exponent", "1e3"),
        ("exponent-of-now", "175e7"),
        ("fraction", f"{NOW}.0"),
        ("point-after", f"{NOW}."),
        ("hexadecimal", hex(NOW)),
        ("octal-prefix", "0o17"),
        ("letter-suffix", f"{NOW}s"),
        ("letters-for-digits", str(NOW).replace("0", "O")),
        ("word", "now"),
        ("nan", "nan"),
        ("infinity", "inf"),
        ("true", "true"),
        ("iso-8601", "2025-06-15T15:06:40Z"),
        ("http-date", "Sun, 15 Jun 2025 15:06:40 GMT"),
        ("quotes", f'"{NOW}"'),
        ("two-in-one", f"{NOW}, {NOW}"),
        ("2-to-the-64", str(2**64)),
        ("25-digits", "9" * 25),
        ("1000-digits", "1" * 1000),
        ("arabic-indic-digits", "".join(chr(0x660 + int(digit)) for digit in str(NOW))),
        ("devanagari-digits", "".join(chr(0x966 + int(digit)) for digit in str(NOW))),
        ("full-width-digits", "".join(chr(0xFF10 + int(digit)) for digit in str(NOW))),
        ("superscript-digit", f"{NOW}\u00b2"),
        ("non-ascii", f"{NOW}\u00e9"),
        ("no-break-space-before", f"\u00a0{NOW}"),
        ("byte-order-mark-before", f"\ufeff{NOW}"),
        ("not-utf8", str(NOW).encode() + b"\xff"),
    ):
        one(f"malformed-timestamp-{name}", "malformed_header", timestamp=text)

    # --- malformed_header: the signature
    for name, text in (
        ("space", " "),
        ("of-1-digit", "a"),
        ("of-62-digits", signature[:62]),
        ("of-63-digits", signature[:63]),
        ("of-65-digits", signature + "0"),
        ("of-66-digits", signature + "00"),
        ("of-128-digits", signature * 2),
        ("g-at-the-start", "g" + signature[1:]),
        ("g-in-the-middle", signature[:31] + "G" + signature[32:]),
        ("g-at-the-end", signature[:63] + "g"),
        ("space-before", f" {signature}"),
        ("space-after", f"{signature} "),
        ("newline-after", f"{signature}\n"),
        ("newline-for-a-digit", f"{signature[:63]}\n"),
        ("space-for-a-digit", f" {signature[1:]}"),
        ("signs-for-digits", "+a" * 32),
        ("0x-for-digits", f"0x{signature[2:]}"),
        ("0x-before", f"0x{signature}"),
        ("sha256-before", f"sha256={signature}"),
        ("v1-before", f"v1={signature}"),
        ("v1-comma-before", f"v1,{signature}"),
        ("in-quotes", f'"{signature}"'),
        ("two-in-one", f"{signature},{signature}"),
        ("two-with-a-space", f"{signature} {signature}"),
        ("with-colons", ":".join(signature[at : at + 2] for at in range(0, 64, 2))),
        ("in-base64", base64.b64encode(bytes.fromhex(signature)).decode()),
        ("raw-bytes", bytes.fromhex(signature.replace("00", "01"))),
        ("full-width-digits", "".join(chr(0xFF10 + at % 10) for at in range(64))),
        ("64-bytes-not-all-ascii", signature[:62] + "\u00e9"),
        ("64-characters-not-all-ascii", signature[:63] + "\u00e9"),
        ("full-width-letter", signature[:63] + "\uff41"),
        ("mathematical-digit", signature[:63] + "\U0001d7d8"),
        ("not-utf8", signature[:63].encode() + b"\xe9"),
    ):
        one(f"malformed-signature-{name}", "malformed_header", signature=text)

    # --- malformed_header: more than one
    for name, entries in (
        ("signature", [(SIGNATURE, signature), (SIGNATURE, signature), (TIMESTAMP, str(NOW))]),
        (
            "signature-other-case",
            [(SIGNATURE, signature), (TIMESTAMP, str(NOW)), (SIGNATURE.lower(), signature)],
        ),
        ("signature-and-wsgi", [(SIGNATURE, signature), (TIMESTAMP, str(NOW)), (wsgi[SIGNATURE], signature)]),
        ("signature-good-first", [(SIGNATURE, signature), (SIGNATURE, "0" * 64), (TIMESTAMP, str(NOW))]),
        ("signature-good-last", [(SIGNATURE, "0" * 64), (SIGNATURE, signature), (TIMESTAMP, str(NOW))]),
        ("signature-empty-first", [(SIGNATURE, ""), (SIGNATURE, signature), (TIMESTAMP, str(NOW))]),
        ("signature-empty-last", [(SIGNATURE, signature), (SIGNATURE, ""), (TIMESTAMP, str(NOW))]),
        ("signature-thrice", [*[(SIGNATURE, signature)] * 3, (TIMESTAMP, str(NOW))]),
        ("timestamp", [(SIGNATURE, signature), (TIMESTAMP, str(NOW)), (TIMESTAMP, str(NOW))]),
        ("timestamp-old-first", [(SIGNATURE, signature), (TIMESTAMP, "17"), (TIMESTAMP, str(NOW))]),
        ("timestamp-old-last", [(SIGNATURE, signature), (TIMESTAMP, str(NOW)), (TIMESTAMP.upper(), "17")]),
        ("timestamp-and-wsgi", [(wsgi[TIMESTAMP], str(NOW)), (SIGNATURE, signature), (TIMESTAMP, str(NOW))]),
        ("timestamp-empty-last", [(SIGNATURE, signature), (TIMESTAMP, str(NOW)), (TIMESTAMP, "")]),
        ("both", [(SIGNATURE, signature), (TIMESTAMP, str(NOW))] * 2),
    ):
        one(f"repeated-{name}", "malformed_header", entries=entries)

    # --- mismatch
    one("mismatch-another-secret", "mismatch", by=other_secret)
    one("mismatch-none-of-five", "mismatch", secrets=five, by=other_secret)
    one("mismatch-secret-is-not-trimmed", "mismatch", secrets=[f" {secret}"])
    one("mismatch-secret-in-other-case", "mismatch", by=secret.upper())
    one("mismatch-secret-with-a-newline", "mismatch", secrets=[f"{secret}\n"])
    one("mismatch-zeros", "mismatch", signature="0" * 64)
    one("mismatch-first-digit", "mismatch", signature=("1" if signature[0] == "0" else "0") + signature[1:])
    one("mismatch-last-digit", "mismatch", signature=signature[:63] + ("1" if signature[63] == "0" else "0"))
    one("mismatch-reversed", "mismatch", signature=signature[::-1])
    one("mismatch-plain-sha256", "mismatch", signature=hashlib.sha256(plain.encode()).hexdigest())
    one(
        "mismatch-sha256-of-secret-and-body",
        "mismatch",
        signature=hashlib.sha256((secret + plain).encode()).hexdigest(),
    )
    one(
        "mismatch-timestamp-signed-too",
        "mismatch",
        signature=hmac_sha256(secret.encode(), f"{NOW}.{plain}".encode()),
    )
    one("mismatch-hmac-of-nothing", "mismatch", signature=hmac_sha256(secret.encode(), b""))
    for name, body in (
        ("one-letter", plain.replace("approved", "approveD")),
        ("another-decision", plain.replace("approved", "denied")),
        ("space-added", plain.replace(",", ", ", 1)),
        ("newline-added", plain + "\n"),
        ("nul-added", plain + "\0"),
        ("byte-order-mark-added", b"\xef\xbb\xbf" + plain.encode()),
        ("cut", plain[:-1]),
        ("empty", ""),
        ("parsed-and-written-anew", json.dumps(decided)),
        ("other-order", compact(dict(sorted(decided.items())))),
        ("escaped", plain.replace("/", "\\/").replace("payments", "p\\u0061yments")),
        ("not-utf8", plain.encode() + b"\xff"),
    ):
        one(f"mismatch-body-{name}", "mismatch", body=body, signature=signature)
    text = compact({**decided, "requester_label": "Zo\u00eb"}).encode()
    composed = json.dumps({**decided, "requester_label": "Zo\u00eb"}, ensure_ascii=False).encode()
    for name, signed, sent in (
        ("unescaped", text, composed),
        ("decomposed", composed, composed.replace("\u00eb".encode(), "e\u0308".encode())),
        ("latin-1", composed, composed.decode().encode("latin-1")),
    ):
        one(f"mismatch-body-{name}", "mismatch", body=sent, signature=hmac_sha256(secret.encode(), signed))

    # --- not_json, though signed
    for name, body in (
        ("empty", ""),
        ("white-space", " \n"),
        ("word", "approved"),
        ("html", "<html></html>"),
        ("form", "approval_id=ap_1&status=approved"),
        ("cut", plain[:-1]),
        ("trailing-text", plain + "x"),
        ("two-objects", plain + plain),
        ("trailing-comma", '{"a":1,}'),
        ("single-quotes", "{'a':1}"),
        ("names-without-quotes", "{a:1}"),
        ("comment", '{"a":1/* */}'),
        ("nan", '{"a":NaN}'),
        ("infinity", '{"a":-Infinity}'),
        ("leading-zero", '{"a":007}'),
        ("plus-sign", '{"a":+1}'),
        ("python-words", '{"a":None,"b":True}'),
        ("newline-in-a-string", '{"a":"b\nc"}'),
        ("nul-in-a-string", '{"a":"b\0c"}'),
        ("nul-after", plain + "\0"),
        ("bad-escape", '{"a":"\\x41"}'),
        ("no-break-space-around", "\u00a0{}"),
        ("byte-order-mark", b"\xef\xbb\xbf" + plain.encode()),
        ("utf16", plain.encode("utf-16-le")),
        ("latin-1", '{"a":"é"}'.encode("latin-1")),
        ("overlong-utf8", b'{"a":"\xc0\xaf"}'),
        ("surrogate-in-utf8", b'{"a":"\xed\xa0\x80"}'),
        ("cut-utf8", b'{"a":"\xe2\x82"}'),
        ("not-utf8", b"\xff\xfe\xfd"),
        ("binary", bytes(range(256))),
        # How deep a body may be is the parser's matter, up to here.
        ("array-300-deep", "[" * 300 + "]" * 300),
        ("object-300-deep", '{"a":' * 300 + "1" + "}" * 300),
        ("array-10000-deep-not-closed", "[" * 10_000),
    ):
        one(f"not-json-{name}", "not_json", body=body)

    # --- not_an_object, though signed
    for name, body in (
        ("array", f"[{plain}]"),
        ("empty-array", "[]"),
        ("string", '"approved"'),
        ("object-in-a-string", json.dumps(plain)),
        ("number", "1"),
        ("fraction", "-0.5"),
        ("null", "null"),
        ("true", "true"),
        ("false", " false "),
        ("array-60-deep", "[" * 60 + "]" * 60),
    ):
        one(f"not-an-object-{name}", "not_an_object", body=body)

    # --- two things wrong, and more: the first of the order counts
    wrong_secret = {"empty_secret": {"secrets": [secret, " "]}}
    wrong_signature = {
        "missing_header": {"signature": None},
        "malformed_header": {"signature": "0" * 63},
        "mismatch": {"signature": "0" * 64},
    }
    wrong_timestamp = {
        "missing_header": {"timestamp": None},
        "malformed_header": {"timestamp": "+17"},
        "too_old": {"timestamp": 17},
        "too_new": {"timestamp": NOW + 3600},
    }
    wrong_body = {"not_json": {"body": plain[1:]}, "not_an_object": {"body": "[]"}}
    guard = {"horizon_ms": 3_600_000, "capacity": 10}
    no_date = compact({"approval_id": "ap_1", "status": "approved"})
    wrong_date = {"undatable": {"guard": guard, "body": no_date}}
    kinds = (wrong_secret, wrong_signature, wrong_timestamp, wrong_body, wrong_date)
    for at, first_kind in enumerate(kinds):
        for second_kind in kinds[at + 1 :]:
            for (first, one_part), (second, other_part) in (
                (x, y) for x in first_kind.items() for y in second_kind.items()
            ):
                place = {id(wrong_signature): "signature-", id(wrong_timestamp): "timestamp-"}
                names = [
                    (place.get(id(kind), "") + code).replace("_", "-")
                    for kind, code in ((first_kind, first), (second_kind, second))
                ]
                parts = {**other_part, **one_part}
                winner = min(first, second, key=REASONS.index)
                one(f"order-{names[0]}-and-{names[1]}", winner, **parts)
    one(
        "order-everything-but-the-secret",
        "missing_header",
        signature=None,
        timestamp="x",
        body="[",
        guard=guard,
    )
    one("order-signature-malformed-and-the-rest", "malformed_header", signature="x", timestamp=17, body="[")
    one("order-too-old-and-the-rest", "too_old", signature="0" * 64, timestamp=17, body="[", guard=guard)

    # --- the replay guard: horizon of an hour, ten bodies, if nothing else is said
    def dated(number: int, seconds: float, **more: object) -> str:
        when = datetime.fromtimestamp(NOW + seconds, timezone.utc).isoformat().replace("+00:00", "Z")
        return compact({"approval_id": f"ap_{number}", "status": "approved", "decided_at": when, **more})

    def at(number: int, decided_after: float, now_after: float = 0, **more: object) -> dict:
        now = NOW + now_after
        return delivery(dated(number, decided_after), timestamp=int(now), now=now, **more)

    def guarded(case_id: str, expected: str, *deliveries: dict, **changes: object) -> None:
        put(case_id, expected, *deliveries, guard={**guard, **changes})

    guarded("guard-lets-in", "ok", at(1, -1))
    guarded("guard-refuses-a-replay", "ok replayed replayed", at(1, -1), at(1, -1), at(1, -1))
    guarded(
        "guard-refuses-a-replay-with-a-fresh-timestamp",
        "ok replayed replayed replayed",
        at(1, 0),
        at(1, 0, 1),
        at(1, 0, 1800.5),
        at(1, 0, 3600),
    )
    guarded(
        "guard-cannot-tell-beyond-its-horizon",
        "ok replayed undatable undatable",
        at(1, 0),
        at(1, 0, 3600),
        at(1, 0, 3600.5),
        at(1, 0, 86_400),
    )
    guarded("guard-remembers-when-the-clock-goes-back", "ok replayed", at(1, 0, 1800), at(1, 0, -1800))
    guarded(
        "guard-refuses-what-it-forgot-when-the-clock-goes-back",
        "ok ok undatable",
        at(1, 0),
        at(2, 3700, 3700),
        at(1, 0, 0),
    )
    guarded("guard-forgets-only-when-asked-again", "ok replayed", at(1, 0), at(1, 0, 3600))
    guarded("guard-decided-at-the-horizon", "ok", at(1, -3600))
    guarded("guard-decided-beyond-the-horizon", "undatable", at(1, -3600.5))
    guarded("guard-decided-in-the-future", "ok replayed", at(1, 7200), at(1, 7200, 1))
    guarded("guard-of-a-millisecond", "ok undatable", at(1, 0), at(1, 0, 0.5), horizon_ms=1)
    guarded("guard-lets-in-others", "ok ok ok replayed", at(1, -1), at(2, -1), at(3, -2), at(2, -1))
    guarded(
        "guard-knows-bodies-not-approvals",
        "ok ok replayed",
        delivery(dated(1, -1)),
        delivery(dated(1, -1) + "\n"),
        delivery(dated(1, -1)),
    )
    guarded(
        "guard-of-two-forgets-the-oldest",
        "ok ok ok undatable replayed replayed",
        at(1, 1),
        at(2, 2),
        at(3, 3),
        at(1, 1),
        at(2, 2),
        at(3, 3),
        capacity=2,
    )
    guarded(
        "guard-of-two-in-another-order",
        "ok ok ok undatable replayed",
        at(3, 3),
        at(1, 1),
        at(2, 2),
        at(1, 1),
        at(3, 3),
        capacity=2,
    )
    guarded(
        "guard-of-two-refuses-what-is-as-old-as-the-forgotten",
        "ok ok ok undatable undatable ok",
        at(1, 1),
        at(2, 2),
        at(3, 3),
        at(4, 1),
        at(5, 0.5),
        at(6, 4),
        capacity=2,
    )
    guarded("guard-of-one", "ok ok undatable replayed", at(1, 1), at(2, 2), at(1, 1), at(2, 2), capacity=1)
    guarded(
        "guard-lets-in-again-what-it-was-told-to-forget",
        "ok ok replayed",
        at(1, 0, forget=True),
        at(1, 0, 5),
        at(1, 0, 9),
    )
    guarded(
        "guard-told-to-forget-after-a-replay", "ok replayed ok", at(1, 0), at(1, 0, forget=True), at(1, 0)
    )
    guarded(
        "guard-told-to-forget-what-it-does-not-know",
        "ok undatable",
        at(1, 0),
        delivery(no_date, forget=False),
    )
    guarded(
        "guard-forgets-one-of-two",
        "ok ok replayed ok",
        at(1, 0),
        at(2, 0, forget=True),
        at(1, 0),
        at(2, 0),
    )
    guarded(
        "guard-forgotten-makes-room",
        "ok ok ok replayed replayed",
        at(1, 1),
        at(2, 2, forget=True),
        at(3, 3),
        at(1, 1),
        at(3, 3),
        capacity=2,
    )
    for name, value in (
        ("missing", ...),
        ("null", None),
        ("number", NOW),
        ("empty", ""),
        ("word", "soon"),
        ("date-without-time", "2025-06-15"),
        ("month-13", "2025-13-01T00:00:00Z"),
        ("in-an-object", {"at": "2025-06-15T15:06:40Z"}),
    ):
        body = compact({"approval_id": "ap_1", **({} if value is ... else {"decided_at": value})})
        guarded(f"guard-decided-at-{name}", "undatable", delivery(body))
    for name, value in (
        ("with-offset", "2025-06-15T17:06:40+02:00"),
        ("with-fraction", "2025-06-15T15:06:39.75Z"),
        ("without-offset-is-utc", "2025-06-15T15:06:40"),
    ):
        guarded(f"guard-decided-at-{name}", "ok replayed", *[delivery(compact({"decided_at": value}))] * 2)
    # Offsets count: 15:06 with +02:00 is two hours ago.
    guarded(
        "guard-decided-at-is-two-hours-ago",
        "undatable",
        delivery('{"decided_at":"2025-06-15T15:06:40+02:00"}'),
    )
    # What is refused is not remembered, and what was remembered is refused for the other reason first.
    guarded(
        "guard-does-not-remember-what-was-refused",
        "mismatch too_old malformed_header missing_header ok",
        at(1, 0, by=other_secret),
        delivery(dated(1, 0), timestamp=NOW - 301),
        delivery(dated(1, 0), signature="x"),
        delivery(dated(1, 0), timestamp=None),
        at(1, 0),
    )
    guarded(
        "order-replayed-comes-after-the-rest",
        "ok mismatch too_old too_new malformed_header missing_header replayed",
        at(1, 0),
        at(1, 0, by=other_secret),
        delivery(dated(1, 0), timestamp=NOW - 301),
        delivery(dated(1, 0), timestamp=NOW + 301),
        delivery(dated(1, 0), timestamp="-1"),
        delivery(dated(1, 0), signature=None),
        at(1, 0),
    )
    guarded(
        "guard-does-not-remember-what-is-no-object",
        "not_json not_an_object not_json",
        delivery("["),
        delivery("[]"),
        delivery("["),
    )
    put(
        "guard-with-two-secrets-knows-the-body",
        "ok replayed",
        delivery(dated(1, 0)),
        delivery(dated(1, 0), by=old_secret),
        secrets=[secret, old_secret],
        guard=guard,
    )

    # --- signing
    def sign(
        case_id: str, body: str | bytes, key: str | bytes, timestamp: int = NOW, error: bool = False
    ) -> None:
        raw = body if isinstance(body, bytes) else body.encode()
        secret_bytes = key if isinstance(key, bytes) else key.encode()
        assert error == (not secret_bytes.strip(b" \t\r\n")), case_id
        expect = {"signature": hmac_sha256(secret_bytes, raw), "timestamp": str(timestamp)}
        c.add(
            f"sign-{case_id}",
            sign={**as_field("body", raw), **as_field("secret", key), "timestamp": timestamp},
            expect={"error": "webhook", "code": "empty_secret"} if error else expect,
        )

    sign("plain", plain, secret)
    sign("utf8-body", json.dumps(everything, ensure_ascii=False), secret)
    sign("empty-body", "", secret)
    sign("body-that-is-no-json", "\0\r\n[", secret)
    sign("binary-body", bytes(range(256)), secret)
    sign("body-of-20000-bytes", "x" * 20_000, secret)
    sign("binary-secret", plain, bytes(range(256)))
    sign("secret-of-64-bytes", plain, "k" * 64)
    sign("secret-of-65-bytes", plain, "k" * 65)
    sign("secret-is-not-trimmed", plain, f" {secret}\n")
    sign("secret-non-ascii", plain, "\u9375")
    sign("timestamp-0", plain, secret, 0)
    sign("timestamp-of-13-digits", plain, secret, NOW * 1000)
    sign("timestamp-at-the-end", plain, secret, 2**64 - 1)
    # RFC 4231, test cases 1, 2, 6 and 7, whose results were written down by others.
    for number, key, message, mac in (
        (1, b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            2,
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            6,
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            7,
            b"\xaa" * 131,
            b"This is a test using a larger than block-size key and a larger than block-size data. "
            b"The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ):
        assert hmac_sha256(key, message) == mac
        sign(f"rfc-4231-case-{number}", message, key)
    sign("empty-secret", plain, "", error=True)
    sign("secret-of-spaces", plain, "  ", error=True)
    sign("secret-of-white-space", plain, "\t\r\n", error=True)

    seen = {one["expect"].get("code") for case in c.items for one in case.get("deliveries", [])}
    assert seen == {None, *REASONS}
    return {
        "about": "Webhooks of Sesame: deliveries, one after the other, to one verifier; and signatures. See README.md.",
        "cases": c.items,
    }


# --------------------------------------------------------------------------- access_tokens.json

MCP_DOMAIN = "tools.example.com"
MCP_ISSUER = "https://lime.pics"


def canonical_domain(raw: str) -> str:
    """The form in which the platform writes a host name, as plain rules; ValueError for what is none."""
    value = raw.strip()
    if not value:
        raise ValueError("domain is required")
    value = re.sub(r"\Ahttps?://", "", value, flags=re.IGNORECASE).split("/")[0].strip().lower()
    if "@" in value:
        raise ValueError("userinfo")
    if value.startswith("[") and "]" in value:
        raise ValueError("IP address")
    if ":" in value:
        raise ValueError("port")
    labels = value.split(".")
    if len(labels) == 4 and all(re.fullmatch("0|[1-9][0-9]{0,2}", one) and int(one) < 256 for one in labels):
        raise ValueError("IP address")
    if len(value) > 253 or not all(re.fullmatch("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", one) for one in labels):
        raise ValueError("valid DNS hostname")
    if value in DOMAIN_RESERVED or any(value.endswith(f".{end}") for end in DOMAIN_RESERVED_ENDS):
        raise ValueError("reserved or special-use")
    return value


DOMAIN_RESERVED = (
    "localhost metadata.google.internal metadata kubernetes kubernetes.default kubernetes.default.svc"
).split()
DOMAIN_RESERVED_ENDS = "localhost local internal intranet corp home lan".split()


def verify_access_token_by_the_rules(case: dict, document: dict) -> dict:
    """The rules of the protocol, plainly; the signature is PyJWT's affair."""
    token, bad = case["jwt"], lambda code: Refused("invalid_token", code)
    if len(token.encode()) > 8192:
        raise bad("malformed")
    parts = token.split(".")
    if len(parts) != 3 or not all(re.fullmatch(r"[A-Za-z0-9_-]*", p) and len(p) % 4 != 1 for p in parts):
        raise bad("malformed")
    raw_header, raw_payload = (base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)) for p in parts[:2])
    try:
        header = strict_json(raw_header)
    except ValueError as exc:
        raise bad("malformed") from exc
    if not isinstance(header, dict) or header.get("alg") != "RS256":
        raise bad("malformed")
    kid = header.get("kid")
    if "crit" in header or header.get("b64") is False or not isinstance(kid, str) or not kid:
        raise bad("malformed")
    usable = [key for key in document["keys"] if key.get("kid") == kid and key["kty"] == "RSA"]
    usable = [key for key in usable if 2048 <= int_b64u(key["n"]).bit_length() <= 8192]
    if not usable:
        raise bad("unknown_key")
    try:
        key = RSAAlgorithm.from_jwk(json.dumps(usable[0]))
        jwt.PyJWS().decode_complete(token, key=key, algorithms=["RS256"])
    except jwt.PyJWTError as exc:
        raise bad("bad_signature") from exc
    try:
        claims = strict_json(raw_payload)
    except ValueError as exc:
        raise bad("malformed") from exc
    if not isinstance(claims, dict):
        raise bad("malformed")
    now, leeway = case["now"], case.get("leeway", 120)
    for name in ("iat", "nbf"):
        if name in claims:
            if not is_number(claims[name]):
                raise bad("invalid_claim")
            if math.trunc(claims[name]) > now + leeway:
                raise bad("not_yet_valid")
    if not is_number(claims.get("exp")):
        raise bad("invalid_claim")
    if math.trunc(claims["exp"]) <= now - leeway:
        raise bad("expired")
    if "iss" not in claims:
        raise bad("invalid_claim")
    if claims["iss"] != case["issuer"]:
        raise bad("wrong_issuer")
    audience = case.get("audience", "mcp")
    named = claims.get("aud")
    if not named:
        raise bad("invalid_claim")
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named) or audience not in named:
        raise bad("wrong_audience")
    if not all(isinstance(claims.get(name, ""), str) for name in ("sub", "jti")):
        raise bad("invalid_claim")
    if any(name in claims for name in ("user_id", "passport_version", "request_id")):
        raise bad("forbidden_claim")
    if not claims.get("sub", "").strip():
        raise bad("missing_subject")
    domain = claims.get("domain")
    if not isinstance(domain, str) or not domain.strip():
        raise bad("missing_domain")
    try:
        canonical = canonical_domain(domain) == domain
    except ValueError:
        canonical = False
    if not canonical:
        raise bad("invalid_domain")
    if domain != case["expected_domain"]:
        raise bad("wrong_domain")
    return claims


def make_access_tokens() -> dict:
    keys = Keys()
    c = Cases()
    jwks = {
        "one": {"keys": [keys.public("main")]},
        "two": {"keys": [keys.public("second", "key-2025-07"), keys.public("main")]},
        "other-key-same-kid": {"keys": [keys.public("second")]},
        "rsa-1024": {"keys": [keys.public("rsa1024")]},
        "rsa-4096": {"keys": [keys.public("rsa4096")]},
        "no-kid": {"keys": [keys.public("main", None)]},
    }
    head = {"alg": "RS256", "typ": "JWT", "kid": KID}
    base = {
        **{"iss": MCP_ISSUER, "sub": "agt_1", "aud": "mcp", "iat": NOW, "exp": NOW + 300, "jti": "5d1c"},
        "domain": MCP_DOMAIN,
    }

    def claims_with(**extra: object) -> dict:
        return {k: v for k, v in {**base, **extra}.items() if v is not ...}

    def raw(value: object) -> bytes:
        return (
            value
            if isinstance(value, bytes)
            else (value if isinstance(value, str) else compact(value)).encode()
        )

    def token(payload: object = base, header: object = head, key: str = "main", sign=sign_rs256) -> str:
        message = b64u(raw(header)) + "." + b64u(raw(payload))
        return message + "." + b64u(sign(keys, key, message.encode()))

    def put(case_id: str, text: str, expect: dict, set_name: str, options: dict) -> None:
        case = {
            "jwt": text,
            "jwks": set_name,
            "now": NOW,
            "issuer": MCP_ISSUER,
            "expected_domain": MCP_DOMAIN,
        }
        case |= {**options, "expect": expect}
        try:
            got = {"claims": verify_access_token_by_the_rules(case, jwks[set_name])}
        except Refused as exc:
            got = {"error": exc.kind, "code": exc.message}
        assert got == expect, f"{case_id}: expected {expect}, rules say {got}"
        c.add(case_id, **case)

    def good(
        case_id: str,
        payload: dict = base,
        header: object = head,
        key: str = "main",
        set_name: str = "one",
        **options: object,
    ) -> None:
        put(case_id, token(payload, header, key), {"claims": payload}, set_name, options)

    def bad(case_id: str, code: str, text: str, set_name: str = "one", **options: object) -> None:
        put(case_id, text, {"error": "invalid_token", "code": code}, set_name, options)

    # --- accepted
    good("as-the-platform-issues-it")
    good(
        "with-claims-of-its-own",
        claims_with(scope="tools", deep={"a": [1, None, 2.5]}, name="Zo\u00eb \U0001f34b"),
    )
    good("without-jti-and-iat", claims_with(jti=..., iat=...))
    good("two-keys-the-second-is-ours", set_name="two")
    good("two-keys-signed-by-the-other", header={**head, "kid": "key-2025-07"}, key="second", set_name="two")
    good("rsa-4096", key="rsa4096", set_name="rsa-4096")
    good("header-typ-at-jwt", header={**head, "typ": "at+jwt"})
    good("header-b64-true", header={**head, "b64": True})
    good(
        "header-jwk-is-ignored",
        header={**head, "jwk": keys.public("attacker"), "jku": "https://evil.example"},
    )
    good("audience-list", claims_with(aud=["other", "mcp"]))
    good("audience-of-ones-own", claims_with(aud="tools"), audience="tools")
    good(
        "issuer-of-another-platform",
        claims_with(iss="https://lime.example/x"),
        issuer="https://lime.example/x",
    )
    good("domain-of-one-label", claims_with(domain="tools"), expected_domain="tools")
    good("domain-that-looks-like-a-part-of-an-address", claims_with(domain="127.1"), expected_domain="127.1")
    good("exp-within-the-leeway", claims_with(exp=NOW - 119))
    good("exp-just-within-the-leeway", claims_with(exp=NOW - 119), now=NOW + 0.75)
    good("exp-now-without-leeway-but-one", claims_with(exp=NOW + 1), leeway=0)
    good("exp-with-a-fraction", claims_with(exp=NOW + 300.75))
    good("exp-largest-u64", claims_with(exp=2**64 - 1))
    good("iat-ahead-within-the-leeway", claims_with(iat=NOW + 120))
    good("iat-ahead-with-a-fraction-that-is-cut-off", claims_with(iat=NOW + 120.75))
    good("iat-long-ago", claims_with(iat=0))
    good("nbf-ahead-within-the-leeway", claims_with(nbf=NOW + 120))
    good("long-leeway", claims_with(exp=NOW - 3599), leeway=3600)
    good("sub-with-spaces-around", claims_with(sub=" agt_1 "))

    # --- taken apart
    whole = token()
    header, payload, signature = whole.split(".")
    for name, text in {
        "empty": "",
        "no-dots": "abc",
        "one-dot": f"{header}.{payload}",
        "three-dots": f"{whole}.x",
        "empty-header": f".{payload}.{signature}",
        "padding": f"{header}.{payload}.{signature}==",
        "space-at-the-end": f"{whole} ",
        "line-feed-at-the-end": f"{whole}\n",
        "bearer-in-front": f"Bearer {whole}",
        "other-base64": whole.replace("-", "+").replace("_", "/"),
        "header-not-json": f"{b64u(b'no')}.{payload}.{signature}",
        "header-a-list": token(header=[]),
        "header-twice-alg": token(header=f'{{"alg":"none","alg":"RS256","kid":"{KID}"}}'),
        "too-long": token(claims_with(note="x" * 8192)),
    }.items():
        bad(f"malformed-{name}", "malformed", text)
    for name, value in {
        "none": "none",
        "hs256": "HS256",
        "rs384": "RS384",
        "lower-case": "rs256",
        "list": ["RS256"],
        "null": None,
    }.items():
        bad(f"alg-{name}", "malformed", token(header={**head, "alg": value}))
    bad("alg-none-without-signature", "malformed", f"{b64u(raw({**head, 'alg': 'none'}))}.{payload}.")
    bad("kid-missing", "malformed", token(header={"alg": "RS256"}))
    bad("kid-missing-as-in-the-document", "malformed", token(header={"alg": "RS256"}), "no-kid")
    bad("kid-empty", "malformed", token(header={**head, "kid": ""}))
    bad("kid-number", "malformed", token(header={**head, "kid": 7}))
    bad("crit", "malformed", token(header={**head, "crit": ["exp"]}))
    bad("b64-false", "malformed", token(header={**head, "b64": False}))
    bad("kid-unknown", "unknown_key", token(header={**head, "kid": "nope"}))
    bad("kid-other-case", "unknown_key", token(header={**head, "kid": KID.upper()}))
    bad("rsa-1024", "unknown_key", token(key="rsa1024"), "rsa-1024")

    # --- another algorithm's signature, and what lenient verifiers take for one of this
    def hs256(secret: bytes):
        return lambda _keys, _name, message: hmac.new(secret, message, "sha256").digest()

    public = {
        "pem": keys.public_pem("main"),
        "pkcs1": keys.public_pem("main", serialization.PublicFormat.PKCS1),
        "der": keys.private("main")
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        "modulus": int_b64u(keys.jwks["main"]["n"]).to_bytes(256, "big"),
    }
    for name, secret in public.items():
        bad(
            f"hs256-with-the-public-{name}",
            "malformed",
            token(header={**head, "alg": "HS256"}, sign=hs256(secret)),
        )
        bad(f"rs256-claimed-but-hmac-with-the-public-{name}", "bad_signature", token(sign=hs256(secret)))
    for alg in ("ES256", "EdDSA", "HS512", "PS256", "RS512"):
        bad(f"alg-{alg.lower()}", "malformed", token(header={**head, "alg": alg}))
    for name in wrong_encodings(b"", 256):

        def sign_wrong(k: Keys, key: str, message: bytes, wrong: str = name) -> bytes:
            return sign_number(k, key, int.from_bytes(wrong_encodings(message, 256)[wrong], "big"))

        bad(f"encoding-{name}", "bad_signature", token(sign=sign_wrong))
    n_main = keys.n("main")
    for name, number in (("one", 1), ("two", 2), ("modulus", n_main), ("modulus-minus-one", n_main - 1)):
        bad(f"signature-{name}", "bad_signature", f"{header}.{payload}.{b64u(number.to_bytes(256, 'big'))}")

    # --- signature
    bad("signed-by-somebody-else", "bad_signature", token(key="attacker"))
    bad("signed-by-the-key-before", "bad_signature", token(), "other-key-same-kid")
    bad("signed-with-pss", "bad_signature", token(sign=sign_ps256))
    flipped = base64.urlsafe_b64decode(signature + "==")
    bad(
        "one-bit-of-the-signature",
        "bad_signature",
        f"{header}.{payload}.{b64u(flipped[:-1] + bytes([flipped[-1] ^ 1]))}",
    )
    bad("signature-empty", "bad_signature", f"{header}.{payload}.")
    bad("payload-empty", "bad_signature", f"{header}..{signature}")
    bad("signature-cut", "bad_signature", f"{header}.{payload}.{b64u(flipped[:-1])}")
    other = b64u(raw(claims_with(sub="agt_2")))
    bad("payload-exchanged", "bad_signature", f"{header}.{other}.{signature}")
    bad("header-exchanged", "bad_signature", f"{b64u(raw({**head, 'typ': 'at+jwt'}))}.{payload}.{signature}")

    # --- payload
    for name, text in {
        "list": [base],
        "text": '"claims"',
        "not-json": "{",
        "not-utf-8": b'{"a":"\xff"}',
        "twice-sub": compact(base)[:-1] + ',"sub":"agt_2"}',
        "twice-deep": compact(base)[:-1] + ',"x":{"a":1,"a":1}}',
        "nan": compact(base)[:-1] + ',"x":NaN}',
        "out-of-range": compact(base)[:-1] + ',"x":1e999}',
    }.items():
        bad(f"payload-{name}", "malformed", token(text))

    # --- times
    bad("exp-at-the-end-of-the-leeway", "expired", token(claims_with(exp=NOW - 120)))
    bad("exp-fraction-is-cut-off", "expired", token(claims_with(exp=NOW - 120 + 0.75)))
    bad("exp-now-without-leeway", "expired", token(claims_with(exp=NOW)), leeway=0)
    bad("exp-zero", "expired", token(claims_with(exp=0)))
    bad("exp-negative", "expired", token(claims_with(exp=-5)))
    bad("iat-beyond-the-leeway", "not_yet_valid", token(claims_with(iat=NOW + 121)))
    bad("nbf-beyond-the-leeway", "not_yet_valid", token(claims_with(nbf=NOW + 121)))
    bad("iat-ahead-without-leeway", "not_yet_valid", token(claims_with(iat=NOW + 1)), leeway=0)
    for name in ("exp", "iat", "nbf"):
        for kind, value in {"null": None, "text": str(NOW + 60), "true": True, "list": [NOW]}.items():
            bad(f"{name}-{kind}", "invalid_claim", token(claims_with(**{name: value})))
    bad("exp-missing", "invalid_claim", token(claims_with(exp=...)))

    # --- issuer and audience
    bad("iss-missing", "invalid_claim", token(claims_with(iss=...)))
    for name, value in {
        "other": "https://evil.example",
        "longer": "https://lime.pics.evil.example",
        "slash": "https://lime.pics/",
        "capitals": "HTTPS://LIME.PICS",
        "space": " https://lime.pics",
        "empty": "",
        "null": None,
        "list": ["https://lime.pics"],
    }.items():
        bad(f"iss-{name}", "wrong_issuer", token(claims_with(iss=value)))
    for name, value in {
        "missing": ...,
        "null": None,
        "empty": "",
        "empty-list": [],
        "false": False,
        "zero": 0,
        "empty-object": {},
    }.items():
        bad(f"aud-{name}", "invalid_claim", token(claims_with(aud=value)))
    for name, value in {
        "passport": "lime-site-login",
        "capitals": "MCP",
        "longer": "mcp2",
        "list-without": ["a", "b"],
        "list-with-a-number": ["mcp", 7],
        "object": {"mcp": 1},
        "true": True,
        "number": 1,
    }.items():
        bad(f"aud-{name}", "wrong_audience", token(claims_with(aud=value)))
    bad("aud-mcp-where-another-is-wanted", "wrong_audience", token(), audience="tools")

    # --- whose, and for whom
    for name in ("user_id", "passport_version", "request_id"):
        for kind, value in {"text": "x", "null": None}.items():
            bad(
                f"forbidden-{name.replace('_', '-')}-{kind}",
                "forbidden_claim",
                token(claims_with(**{name: value})),
            )
    for name, value in {"missing": ..., "empty": "", "spaces": " \t", "separators": "\x1c\x1f"}.items():
        bad(f"sub-{name}", "missing_subject", token(claims_with(sub=value)))
    for name in ("sub", "jti"):
        for kind, value in {"null": None, "number": 7, "list": ["a"]}.items():
            bad(f"{name}-{kind}", "invalid_claim", token(claims_with(**{name: value})))
    for name, value in {
        "missing": ...,
        "null": None,
        "empty": "",
        "spaces": "  ",
        "number": 7,
        "list": [MCP_DOMAIN],
    }.items():
        bad(f"domain-{name}", "missing_domain", token(claims_with(domain=value)))
    for name, value in {
        "capitals": "Tools.Example.com",
        "scheme": f"https://{MCP_DOMAIN}",
        "path": f"{MCP_DOMAIN}/mcp",
        "port": f"{MCP_DOMAIN}:443",
        "user": f"a@{MCP_DOMAIN}",
        "space": f" {MCP_DOMAIN}",
        "line-feed": f"{MCP_DOMAIN}\n",
        "dot": f"{MCP_DOMAIN}.",
        "umlaut": "b\u00fccher.example",
        "kelvin": "tool\u212a.example",
        "address": "127.0.0.1",
        "localhost": "localhost",
        "internal": "tools.internal",
        "label-of-64": f"{'a' * 64}.example",
    }.items():
        bad(f"domain-{name}", "invalid_domain", token(claims_with(domain=value)))
    for name, value in {
        "other": "other.example.com",
        "above": "example.com",
        "below": f"a.{MCP_DOMAIN}",
        "longer": f"{MCP_DOMAIN}.evil.example",
    }.items():
        bad(f"domain-{name}", "wrong_domain", token(claims_with(domain=value)))

    # --- which check comes first
    worst: dict = dict(
        iat=NOW + 500, nbf=NOW + 500, exp=NOW - 500, iss="x", aud="x", jti=7, user_id=1, sub="", domain=""
    )
    bad("order-key-before-signature", "unknown_key", token(worst, {**head, "kid": "nope"}, "attacker"))
    bad("order-signature-before-claims", "bad_signature", token(worst, key="attacker"))
    for name, code, better in (
        ("iat", "not_yet_valid", NOW),
        ("nbf", "not_yet_valid", NOW),
        ("exp", "expired", NOW + 300),
        ("iss", "wrong_issuer", MCP_ISSUER),
        ("aud", "wrong_audience", "mcp"),
        ("jti", "invalid_claim", "5d1c"),
        ("user_id", "forbidden_claim", ...),
        ("sub", "missing_subject", "agt_1"),
        ("domain", "missing_domain", "Tools.example.com"),
    ):
        bad(f"order-{name.replace('_', '-')}", code, token({k: v for k, v in worst.items() if v is not ...}))
        worst[name] = better
    bad("order-form-of-the-domain", "invalid_domain", token({k: v for k, v in worst.items() if v is not ...}))

    return {
        "about": "Access tokens for MCP servers: RS256 JWT + key set + clock -> claims or error. jwks holds the key "
        "documents by name. Signed with the TEST ONLY keys of keys.json; accepted signatures are checked with PyJWT. "
        "See README.md.",
        "jwks": jwks,
        "cases": c.items,
    }


# --------------------------------------------------------------------------- mcp_domains.json


def make_mcp_domains() -> dict:
    c = Cases()

    def good(case_id: str, raw: str, domain: str = MCP_DOMAIN) -> None:
        assert canonical_domain(raw) == domain, (case_id, canonical_domain(raw))
        c.add(case_id, domain=raw, expect={"canonical": domain})

    def bad(case_id: str, raw: str, why: str) -> None:
        try:
            got = canonical_domain(raw)
        except ValueError as exc:
            assert why in str(exc), (case_id, exc)
        else:
            raise AssertionError((case_id, got))
        c.add(case_id, domain=raw, expect={"error": "invalid_argument", "message_contains": why})

    good("host", MCP_DOMAIN)
    good("capitals", "Tools.EXAMPLE.com")
    good("https", f"https://{MCP_DOMAIN}")
    good("http-in-capitals-with-path", f"HTTP://{MCP_DOMAIN}/mcp?a=b#c")
    good("path", f"{MCP_DOMAIN}/mcp")
    good("path-with-anything", f"{MCP_DOMAIN}/@:[]")
    good("one-label", "tools", "tools")
    good("one-letter", "t", "t")
    good("hyphens", "a-b--c.example", "a-b--c.example")
    good("digits", "1.2.3.4.example", "1.2.3.4.example")
    good("part-of-an-address", "127.1", "127.1")
    good("number", "2130706433", "2130706433")
    good("leading-zero", "127.0.0.01", "127.0.0.01")
    good("beyond-a-byte", "256.0.0.1", "256.0.0.1")
    good("kelvin-sign", "tool\u212a.example", "toolk.example")
    good("label-of-63", f"{'a' * 63}.example", f"{'a' * 63}.example")
    longest = ".".join(["a" * 49] * 5) + ".bcd"
    good("name-of-253", longest, longest)
    for number, space in enumerate(" \t\r\n\f\v\x1c\x1f\u2003\x85"):
        good(f"white-space-around-{number}", f"{space}{MCP_DOMAIN}{space}")
        good(f"white-space-before-the-slash-{number}", f"https://{MCP_DOMAIN}{space}/")
    good("wildcard-dns-is-the-servers-affair", "127.0.0.1.nip.io", "127.0.0.1.nip.io")
    for name in DOMAIN_RESERVED_ENDS:
        bad(f"below-{name}", f"tools.{name}", "reserved or special-use")
        good(f"not-below-{name}", f"{name}.example", f"{name}.example")
    for name in DOMAIN_RESERVED:
        bad(f"reserved-{name.replace('.', '-')}", name, "reserved or special-use")
    bad("reserved-in-capitals", "LocalHost", "reserved or special-use")
    good("not-reserved-local", "local", "local")
    bad("empty", "", "domain is required")
    bad("spaces", " \t ", "domain is required")
    bad("scheme-alone", "https://", "valid DNS hostname")
    bad("slash", "/", "valid DNS hostname")
    bad("another-scheme", f"ftp://{MCP_DOMAIN}", "port")
    bad("user", f"user@{MCP_DOMAIN}", "userinfo")
    bad("user-and-password", f"https://a:b@{MCP_DOMAIN}/", "userinfo")
    bad("port", f"{MCP_DOMAIN}:443", "port")
    bad("port-empty", f"{MCP_DOMAIN}:", "port")
    bad("address", "127.0.0.1", "IP address")
    bad("address-with-scheme", "http://8.8.8.8/", "IP address")
    bad("address-of-six", "[::1]", "IP address")
    bad("address-of-six-with-port", "[::1]:80", "IP address")
    bad("address-of-six-bare", "::1", "port")
    for name, raw in {
        "dot": ".",
        "dot-at-the-end": f"{MCP_DOMAIN}.",
        "dots": "a..example",
        "hyphen-at-the-start": "-a.example",
        "hyphen-at-the-end": "a-.example",
        "underscore": "a_b.example",
        "umlaut": "b\u00fccher.example",
        "space-within": "a b.example",
        "star": "*.example.com",
        "question-mark": f"{MCP_DOMAIN}?a",
        "backslash": f"{MCP_DOMAIN}\\a",
        "label-of-64": f"{'a' * 64}.example",
        "name-of-254": longest + "e",
        "other-digits": "\u0661.example",
    }.items():
        bad(f"no-hostname-{name}", raw, "valid DNS hostname")
    return {
        "about": "Host names that access tokens are bound to, in canonical form. See README.md.",
        "cases": c.items,
    }


# --------------------------------------------------------------------------- mcp_targets.json

MCP_RESERVED = (
    "localhost metadata.google.internal metadata kubernetes kubernetes.default kubernetes.default.svc "
    "nip.io sslip.io xip.io traefik.me localtest.me lvh.me"
).split()
MCP_RESERVED_ENDS = (
    "localhost local internal intranet corp home lan nip.io sslip.io xip.io traefik.me localtest.me lvh.me"
).split()
MCP_ERRORS = {
    "empty": "non-empty string",
    "hostname": "valid DNS hostname",
    "userinfo": "userinfo",
    "address": "IP address",
    "reserved": "reserved or special-use",
}
WHITE_SPACE = " \t\r\n\f\v"


def mcp_target_by_the_rules(target: str) -> dict:
    """What a target means, as plain rules; tests/published compares the cases with the published package."""

    def error(name: str) -> dict:
        return {"error": "invalid_argument", "message_contains": MCP_ERRORS[name]}

    target = target.strip()
    if not target:
        return error("empty")
    prefix = re.match(r"https?://", target, re.IGNORECASE)
    authority = target[prefix.end() if prefix else 0 :].split("/")[0].strip().lower()
    if not authority:
        return error("hostname")
    if "@" in authority:
        return error("userinfo")
    if authority.startswith("[") and "]" in authority:
        return error("address")
    host, colon, port = authority.partition(":")
    if colon and not re.fullmatch("[0-9]+", port):
        return error("hostname")
    labels = host.split(".")
    if all(re.fullmatch("[0-9]+|0x[0-9a-f]*", label) for label in labels):
        return error("address")
    if len(host) > 253 or not all(re.fullmatch("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", one) for one in labels):
        return error("hostname")
    if host in MCP_RESERVED or any(host.endswith("." + end) for end in MCP_RESERVED_ENDS):
        return error("reserved")
    return {"domain": host, "url": target.rstrip("/") if prefix else f"https://{authority}/mcp"}


def make_mcp_targets() -> dict:
    c = Cases()

    def good(case_id: str, target: str, domain: str, url: str | None = None) -> None:
        wanted = {"domain": domain, "url": url or f"https://{domain}/mcp"}
        assert mcp_target_by_the_rules(target) == wanted, (case_id, mcp_target_by_the_rules(target))
        c.add(case_id, target=target, expect=wanted)

    def bad(case_id: str, target: str, why: str) -> None:
        wanted = {"error": "invalid_argument", "message_contains": MCP_ERRORS[why]}
        assert mcp_target_by_the_rules(target) == wanted, (case_id, mcp_target_by_the_rules(target))
        c.add(case_id, target=target, expect=wanted)

    host = "tools.example.com"
    good("host", host, host)
    good("host-in-capitals", "Tools.EXAMPLE.com", host)
    good("host-with-port", f"{host}:8443", host, f"https://{host}:8443/mcp")
    good("host-with-port-zero", f"{host}:0", host, f"https://{host}:0/mcp")
    good("host-with-a-port-that-is-too-large", f"{host}:99999", host, f"https://{host}:99999/mcp")
    good("host-with-path-loses-it", f"{host}/tools/v1", host)
    good("host-with-port-and-path", f"{host}:8443/tools", host, f"https://{host}:8443/mcp")
    good("host-and-slash", f"{host}/", host)
    good("host-of-one-label", "tools", "tools")
    good("host-of-one-letter", "t", "t")
    good("host-with-hyphens", "a-b--c.example", "a-b--c.example")
    good("host-with-digits", "1.2.3.4.example", "1.2.3.4.example")
    good("host-with-a-hexadecimal-label", "0x7f.example", "0x7f.example")
    good("host-that-ends-in-a-number", "tools.127", "tools.127")
    good("host-in-punycode", "xn--bcher-kva.example", "xn--bcher-kva.example")
    good("host-with-kelvin-sign", "tool\u212a.example", "toolk.example")
    good("label-of-63", f"{'a' * 63}.example", f"{'a' * 63}.example")
    longest = ".".join(["a" * 49] * 5) + ".bcd"
    assert len(longest) == 253
    good("name-of-253", longest, longest)
    good("url", f"https://{host}/mcp", host)
    good("url-without-path", f"https://{host}", host, f"https://{host}")
    good("url-plain", f"http://{host}/mcp", host, f"http://{host}/mcp")
    good("url-with-port", f"https://{host}:8443/mcp", host, f"https://{host}:8443/mcp")
    good("url-in-capitals", "HTTPS://Tools.Example.Com/MCP", host, "HTTPS://Tools.Example.Com/MCP")
    good("url-with-slashes-at-the-end", f"https://{host}/mcp///", host)
    good("url-of-slashes", f"https://{host}//", host, f"https://{host}")
    good("url-with-query", f"https://{host}/mcp?a=b/", host, f"https://{host}/mcp?a=b")
    good("url-with-at-in-the-path", f"https://{host}/@evil.example", host, f"https://{host}/@evil.example")
    good(
        "url-with-url-in-the-path", f"https://{host}/http://1.2.3.4/", host, f"https://{host}/http://1.2.3.4"
    )
    good("url-with-dots-in-the-path", f"https://{host}/../x", host, f"https://{host}/../x")
    for number, space in enumerate(WHITE_SPACE):
        good(f"white-space-around-{number}", f"{space}{host}{space}", host)
        good(f"white-space-around-url-{number}", f"{space}https://{host}/{space}", host, f"https://{host}")
    good("em-space-around", f"\u2003{host}\u2003", host)
    good("unit-separator-around", f"\x1f{host}\x1c", host)
    good("space-before-the-slash", f"{host} /x", host)
    good("scheme-twice-in-the-path", f"http://{host}/https://", host, f"http://{host}/https:")

    bad("empty", "", "empty")
    bad("spaces", "  \t ", "empty")
    bad("scheme-alone", "https://", "hostname")
    bad("scheme-and-path", "https:///evil.example", "hostname")
    bad("slash", "/", "hostname")
    bad("slash-and-host", f"/{host}", "hostname")
    bad("two-slashes-and-host", f"//{host}", "hostname")
    bad("another-scheme", f"ftp://{host}", "hostname")
    bad("scheme-twice", f"https://https://{host}", "hostname")
    bad("scheme-with-one-slash", f"https:/{host}", "hostname")
    bad("user", f"https://user@{host}/", "userinfo")
    bad("user-and-password", f"https://user:pw@{host}/", "userinfo")
    bad("user-that-looks-like-the-host", f"https://{host}@evil.example/", "userinfo")
    bad("user-after-backslash", f"https://{host}\\@evil.example/", "userinfo")
    bad("at-alone", "@", "userinfo")
    bad("backslash", f"https://{host}\\.evil.example/", "hostname")
    bad("query-after-the-host", f"https://{host}?a=b", "hostname")
    bad("fragment-after-the-host", f"https://{host}#a", "hostname")
    bad("port-empty", f"{host}:", "hostname")
    bad("port-alone", ":80", "hostname")
    bad("port-of-letters", f"{host}:http", "hostname")
    bad("port-with-sign", f"{host}:+80", "hostname")
    bad("port-twice", f"{host}:80:90", "hostname")
    bad("port-in-other-digits", f"{host}:\u0668\u0660", "hostname")
    bad("port-with-space", f"{host}: 80", "hostname")
    bad("space-before-the-port", f"{host} :80", "hostname")
    bad("line-feed-before-the-port", f"{host}\n:80", "hostname")
    bad("space-within", "tools .example", "hostname")
    bad("tab-within", "tools\t.example", "hostname")
    bad("percent", "tools%2eexample", "hostname")
    bad("underscore", "my_tools.example", "hostname")
    bad("umlaut", "b\u00fccher.example", "hostname")
    bad("full-width-dot", "tools\u3002example", "hostname")
    bad("byte-order-mark", f"\ufeff{host}", "hostname")
    bad("dot", ".", "hostname")
    bad("dots", "tools..example", "hostname")
    bad("dot-at-the-start", f".{host}", "hostname")
    bad("dot-at-the-end", f"{host}.", "hostname")
    bad("hyphen-at-the-start", "-tools.example", "hostname")
    bad("hyphen-at-the-end", "tools-.example", "hostname")
    bad("hyphen-alone", "-", "hostname")
    bad("label-of-64", f"{'a' * 64}.example", "hostname")
    bad("name-of-254", longest + "e", "hostname")
    bad("star", "*.example.com", "hostname")
    for number, address in enumerate(
        (
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7F.0.0.1",
            "0177.0.0.1",
            "0x7f.1",
            "8.8.8.8",
            "169.254.169.254",
            "999.999.999.999",
            "1.2.3.4.5",
            "0",
            "00",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fe80::1%25eth0]",
        )
    ):
        bad(f"address-{number}", address, "address")
        bad(f"address-{number}-with-port", f"http://{address}:8000/mcp", "address")
    bad("address-with-dot-at-the-end", "127.0.0.1.", "hostname")
    bad("address-of-six-without-brackets", "::1", "hostname")
    bad("address-of-six-without-brackets-long", "fe80::1:2", "hostname")
    bad("address-in-full-width-digits", "\uff11\uff12\uff17.0.0.1", "hostname")
    # To who reads URLs that is 0.0.0.0.
    bad("hexadecimal-without-digits", "0x", "address")
    bad("hexadecimal-without-digits-in-a-url", "https://0X:8000/mcp", "address")
    bad("hexadecimal-without-digits-beside-a-number", "1.0x", "address")
    for name in MCP_RESERVED:
        bad(f"reserved-{name.replace('.', '-')}", name, "reserved")
    bad("reserved-in-capitals", "LocalHost", "reserved")
    bad("reserved-with-port", "http://localhost:8000/mcp", "reserved")
    for name in MCP_RESERVED_ENDS:
        bad(f"reserved-below-{name.replace('.', '-')}", f"tools.{name}", "reserved")
        good(f"not-reserved-{name.replace('.', '-')}", f"{name}.example", f"{name}.example")
    bad("reserved-below-wildcard-of-an-address", "10.0.0.1.nip.io", "reserved")
    bad("reserved-deep", "kubernetes.default.svc.cluster.local", "reserved")
    good("not-reserved-as-an-end-of-a-label", "mylocalhost", "mylocalhost")
    good("not-reserved-as-an-end-of-a-name", "tools.notlocal", "tools.notlocal")
    good("not-reserved-metadata", "metadata.example.com", "metadata.example.com")
    good("not-reserved-kubernetes", "kubernetes.example.com", "kubernetes.example.com")

    seen = {case["expect"].get("message_contains") for case in c.items}
    assert seen == {None, *MCP_ERRORS.values()}
    return {
        "about": "What a target of an MCP call means: the host name of its token, and the server's address. See README.md.",
        "cases": c.items,
    }


# --------------------------------------------------------------------------- files

FILES = {
    "pow.json": make_pow,
    "passports.json": make_passports,
    "bindings.json": make_bindings,
    "access_tokens.json": make_access_tokens,
    "mcp_domains.json": make_mcp_domains,
    "sse.json": make_sse,
    "envelopes.json": make_envelopes,
    "timestamps.json": make_timestamps,
    "webhooks.json": make_webhooks,
    "mcp_targets.json": make_mcp_targets,
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
