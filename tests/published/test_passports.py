"""Whatever passport ours lets in, PyJWT lets in, too, and reads the same in it: a hundred thousand and more that are
changed at random, of both kinds. Where only PyJWT lets one in there is a rule of the protocol, or of strict
reading, that says why ours does not.

LIME_PASSPORTS is how many tokens there are; a small part of a full run unless set. `LIME_PASSPORTS=120000` is the full one.
"""

from __future__ import annotations

import hmac
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import jwt
import jwt.api_jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from test_access_tokens import ISSUER, KEYS, KID, NOW, Maker, b64u, decoded, is_strict_json, lenient, public

import lime_sdk

TOKENS = int(os.environ.get("LIME_PASSPORTS", "8000"))
ROOT = f"{ISSUER}/api/v1"
OTHER = "key-2025-07"
JWKS = json.dumps({"keys": [public("second", OTHER), public("main")]}).encode()
PUBLIC: dict[str, Any] = {
    kid: RSAAlgorithm.from_jwk(json.dumps(public(name, kid)))
    for name, kid in (("main", KID), ("second", OTHER))
}
# What an attacker has of it: everybody does.
PEM = PUBLIC[KID].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
# Audience, longest life, the claim of its own, and what ours is asked with.
KINDS: dict[str, tuple[str, int, str, Any]] = {
    "login": ("lime-site-login", 120, "request_id", lime_sdk.verify_passport),
    "binding": ("lime-binding", 60, "binding_id", lime_sdk.verify_binding_passport),
}


class Passports(Maker):
    """Passports of a kind, changed at random, the same on every run."""

    def __init__(self, seed: int, kind: str) -> None:
        super().__init__(seed)
        self.audience, self.life, self.own, _ = KINDS[kind]

    @property
    def claims(self) -> dict[str, Any]:
        jti = f"{self.random.getrandbits(64):016x}"
        times = {"iat": NOW - 5, "exp": NOW - 5 + self.life}
        return {"iss": ISSUER, "sub": "agt_1", "aud": self.audience, **times, "jti": jti, self.own: "id_1"}

    def value(self) -> Any:
        edge = NOW + self.random.choice((-30, 0, 30, self.life)) + self.random.choice((-1, 0, 1))
        pool = (
            *(edge, edge, edge + 0.5, float(edge), str(edge), f" {edge}", self.audience, [self.audience]),
            *([self.audience, "x"], {self.audience: 1}, f"{self.audience} ", self.audience.upper()),
            *(
                ISSUER + "/",
                ISSUER + ":443",
                ISSUER + ".evil.example",
                ISSUER + "@evil.example",
                "https://LIME.pics",
            ),
            *(
                "id_1",
                "id_2",
                " id_1",
                "id_1\x00",
                ["id_1"],
                1,
                True,
                None,
                {},
                "",
                1e300,
                -1e300,
                2**70,
                10**400,
            ),
        )
        return self.random.choice(pool) if self.random.random() < 0.8 else super().value()

    def with_claims(self) -> str:
        claims = self.claims
        names = (*claims, *claims, "exp", "iat", "aud", "nbf", "agent_id", "owner_id")
        for name in self.random.sample(names, self.random.choice((1, 1, 1, 2, 3))):
            if self.random.random() < 0.15:
                claims.pop(name, None)
            else:
                claims[name] = self.value()
        return self.sign(self.header, claims, self.random.choice(("main",) * 19 + ("attacker",)))

    def with_numbers(self) -> str:
        """Times as texts that readers of numbers may think differently of."""
        spelled = (
            *(
                "{}.0",
                "{}.5",
                "{}.999999",
                "{}e0",
                "{}E+0",
                "{}.000000000000000001",
                "-{}",
                "{}0e-1",
                "0{}",
                "+{}",
                "{}_0",
            ),
            *(
                '"{}"',
                "[{}]",
                "{}.",
                "{}e400",
                "0x{}",
                "\u0661{}",
                "{} ",
                "{}/1",
                "{}" + "0" * 400,
                "{}" + "0" * 5000,
            ),
        )
        text = json.dumps(self.claims)
        for name in self.random.sample(("exp", "iat"), self.random.choice((1, 1, 2))):
            value = str(self.claims[name])
            text = text.replace(
                f'"{name}": {value}', f'"{name}": ' + self.random.choice(spelled).replace("{}", value)
            )
        return self.sign(self.header, text.encode())

    def confused(self) -> str:
        """Signed by other algorithms, with what an attacker has as a key."""
        algorithm = self.random.choice(("HS256", "HS512", "none", "RS384", "RS512", "PS256"))
        kid = self.random.choice((KID, OTHER, "x"))
        claims = json.dumps(self.claims).encode()
        message = f"{b64u(json.dumps({'alg': algorithm, 'kid': kid}).encode())}.{b64u(claims)}"
        if algorithm == "none":
            signature = b""
        elif algorithm[0] == "H":
            secret = self.random.choice(
                (PEM, json.dumps(public("main")).encode(), decoded(KEYS["main"]["n"]), b"secret")
            )
            signature = hmac.new(secret, message.encode(), f"sha{algorithm[2:]}").digest()
        else:
            key = self.private[self.random.choice(("main", "attacker"))]
            digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]
            how: Any = padding.PKCS1v15()
            if algorithm[0] == "P":
                how = padding.PSS(padding.MGF1(digest), 32)
            signature = key.sign(message.encode(), how, digest)
        token = f"{message}.{b64u(signature)}"
        # Under the name of the right one.
        if self.random.random() < 0.5:
            _, _, rest = token.partition(".")
            token = f"{self.sign(self.header, {}).partition('.')[0]}.{rest}"
        return token

    def tokens(self, count: int) -> Iterator[str]:
        makers = (
            self.with_claims,
            self.with_claims,
            self.with_header,
            self.with_text,
            self.with_numbers,
            self.confused,
        )
        good = [self.sign(self.header, self.claims) for _ in range(20)]
        yield from good
        for number in range(count - len(good)):
            if number % 20 < 9:
                token = makers[number % len(makers)]()
                good[self.random.randrange(len(good))] = token
            else:
                # Signing takes as long as all else: what was signed is changed more than once.
                token = self.with_characters(self.random.choice(good))
            yield token


@contextmanager
def standing_still(now: float) -> Iterator[None]:
    """What PyJWT takes for the present."""

    class Still(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(now, tz)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jwt.api_jwt, "datetime", Still)
        yield


def by_pyjwt(token: str, audience: str) -> dict[str, Any] | str:
    """Its claims, or why it is refused. The protocol allows 30 s for `iat` and `nbf`, and none for `exp`."""
    try:
        key: Any = PUBLIC[jwt.get_unverified_header(token)["kid"]]
        known: dict[str, Any] = {"algorithms": ["RS256"], "audience": audience}
        strict = jwt.decode(token, key, **known, options={"verify_iat": False, "verify_nbf": False})
        assert jwt.decode(token, key, **known, leeway=30) == strict
        return dict(strict)
    # RecursionError and OverflowError are what it leaves to the caller.
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        return type(error).__name__


def why_ours_refuses(token: str, kind: str, now: float) -> str | None:
    """The rule by which ours is stricter that this token breaks."""
    _, life, own, _ = KINDS[kind]
    segments = token.split(".")
    if len(token) > 8192:
        return "long"
    letters = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    if not letters.issuperset(token) or any(leftover(segment) for segment in segments):
        return "base64url"
    header, payload = (decoded(segment) for segment in segments[:2])
    if not is_strict_json(header) or not is_strict_json(payload):
        return "json"
    if "crit" in lenient(header):
        return "crit"
    claims = lenient(payload)
    times = [claims.get(name) for name in ("exp", "iat", "nbf") if name in claims]
    if "exp" not in claims or "iat" not in claims:
        return "endless"
    if any(isinstance(time, bool) or not isinstance(time, (int, float)) for time in times):
        return "time"
    if not isinstance(claims["aud"], str):
        return "audience"
    if claims["exp"] - claims["iat"] > life:
        return "life"
    # A fraction counts before its second has come.
    if any(claims.get(name, 0) > now + 30 for name in ("iat", "nbf")):
        return "early"
    if "iss" in claims and claims["iss"] not in (ISSUER, f"{ISSUER}/", f"{ISSUER}:443", "https://LIME.pics"):
        return "issuer"
    if kind == "binding" and not (isinstance(claims.get(own), str) and claims[own].strip()):
        return "binding_id"
    return None


def leftover(segment: str) -> bool:
    """Whether a segment has letters or bits that say nothing."""
    used = len(segment) % 4
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = {0: 0, 2: 4, 3: 2}.get(used)
    return spare is None or (spare > 0 and alphabet.index(segment[-1]) % (1 << spare) != 0)


@pytest.mark.parametrize(
    ("kind", "now"), [("login", NOW), ("login", NOW + 0.5), ("binding", NOW), ("binding", NOW + 0.5)]
)
def test_whatever_ours_lets_in_pyjwt_lets_in(kind: str, now: float) -> None:
    audience, _, _, verify = KINDS[kind]
    seen: Counter[str] = Counter()
    different: set[str] = set()
    with standing_still(now):
        for token in Passports(9 + int(2 * now), kind).tokens(TOKENS // 4):
            different.add(token)
            theirs = by_pyjwt(token, audience)
            try:
                ours = verify(token, jwks=JWKS, api_root=ROOT, now=now)
            except lime_sdk.InvalidPassportError:
                ours = None
            if ours is not None:
                assert isinstance(theirs, dict), f"ours lets in what PyJWT refuses ({theirs}): {token}"
                named = {("agent_id" if name == "sub" else name): value for name, value in theirs.items()}
                if "agent_id" in theirs:
                    named["agent_id"] = theirs["agent_id"]
                # Beyond 64 bits ours are doubles.
                assert json.loads(json.dumps(ours), parse_int=float) == json.loads(
                    json.dumps(named), parse_int=float
                )
                seen["both"] += 1
            elif isinstance(theirs, dict):
                reason = why_ours_refuses(token, kind, now)
                assert reason is not None, f"only ours refuses: {token}"
                seen[f"stricter: {reason}"] += 1
            else:
                seen[theirs] += 1
    print(kind, now, dict(seen))
    assert len(different) > 0.9 * (TOKENS // 4)
    # Enough of each, so that the comparison says something.
    assert seen["both"] > TOKENS / 100, seen
    for verdict in ("InvalidSignatureError", "DecodeError", "ExpiredSignatureError", "InvalidAlgorithmError"):
        assert seen[verdict] > TOKENS / 2000, seen
    assert sum(count for verdict, count in seen.items() if verdict.startswith("stricter")) > TOKENS / 200, (
        seen
    )
