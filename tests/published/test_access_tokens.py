"""lime-mcp-server-sdk 1.0.2 and ours take the same access tokens: the shared vectors, and tens of thousands that
are changed at random. Where ours is strict on purpose, the document has a row, and each difference that is found
must be one of those.
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Sandbox
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from jwt.algorithms import RSAAlgorithm
from test_published import MCP_SERVER
from throwaway import environment

HERE = Path(__file__).resolve().parent
VECTORS = ROOT / "tests/vectors"
DOCUMENT = ROOT / "bindings-python/COMPATIBILITY.md"
NOW, ISSUER, KID, DOMAIN = 1750000000, "https://lime.pics", "key-2025-06", "tools.example.com"
STABLE = (
    "Token expired",
    "Invalid issuer",
    "Invalid audience",
    "Missing domain claim",
    "Invalid domain claim",
    "Domain mismatch",
)


def ask(python: Path | str, asked: Any, folder: Path) -> Any:
    file = folder / "asked.json"
    file.write_text(json.dumps(asked))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIME_")}
    command = [str(python), "-W", "ignore", str(HERE / "access_tokens.py"), str(file)]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def both(asked: Any, folder: Path) -> tuple[Any, Any]:
    return ask(environment("mcp-server", *MCP_SERVER), asked, folder), ask(sys.executable, asked, folder)


# ── what ours refuses on purpose ──────────────────────────────────────────────────────────────────


def decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def lenient(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def is_strict_json(raw: bytes) -> bool:
    """RFC 8259 in UTF-8, each name once, at most 127 deep, numbers that a double can hold."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            raise ValueError("a name twice")
        return dict(items)

    def refuse(text: str) -> Any:
        raise ValueError(text)

    def number(text: str) -> float:
        if not math.isfinite(float(text)):
            raise ValueError(text)
        return float(text)

    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=pairs, parse_constant=refuse, parse_float=number, parse_int=number
        )
        json.dumps(value, ensure_ascii=False).encode()  # halves of surrogate pairs
    except (ValueError, OverflowError, RecursionError):
        return False
    return max(depths(raw.decode())) <= 127


def depths(text: str) -> list[int]:
    depth, found = 0, [0]
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket, 0)
        found.append(depth)
    return found


def why_ours_refuses(token: str) -> str | None:
    """The row of the document that this token is a case of."""
    if len(token) > 8192:
        return "long"
    if "=" in token:
        return "padding"
    segments = token.split(".")
    if len(segments) != 3:
        return None
    header, payload = (decoded(segment) for segment in segments[:2])
    if not is_strict_json(header) or not is_strict_json(payload):
        return "json"
    if "crit" in lenient(header):
        return "crit"
    claims = lenient(payload)
    times = [claims[name] for name in ("exp", "iat", "nbf") if name in claims]
    if any(isinstance(time, (bool, str)) for time in times):
        return "time"
    return "endless" if "exp" not in claims else None


def rows() -> set[str]:
    _, _, section = DOCUMENT.read_text().partition("<!-- found by tests/published/test_access_tokens.py -->")
    table = section.lstrip().split("\n\n", 1)[0].splitlines()[2:]
    return {re.findall(r"`access_tokens\.(\w+)`", row.split("|")[1])[0] for row in table}


def compare(group: dict[str, Any], there: list[Any], here: list[Any]) -> Counter[str]:
    """How often each verdict was the same, or differed on purpose; fails for any other difference."""
    seen: Counter[str] = Counter()
    for token, published, ours in zip(group["tokens"], there, here, strict=True):
        said = published if isinstance(published, str) else "accepted"
        if isinstance(published, dict) and isinstance(ours, dict):
            # Beyond 64 bits ours are doubles.
            assert json.loads(json.dumps(published), parse_int=float) == json.loads(
                json.dumps(ours), parse_int=float
            )
        elif isinstance(ours, dict):
            raise AssertionError(f"ours takes what the published package refuses ({published}): {token}")
        elif isinstance(published, dict):
            reason = why_ours_refuses(token)
            assert reason is not None, f"ours refuses ({ours}): {token}"
            said = f"on purpose: {reason}"
        elif published != ours and why_ours_refuses(token) is None:
            # Which of several faults is told first may differ only where the words are those of no one fault.
            assert published not in STABLE, (published, ours, token)
            assert ours not in STABLE, (published, ours, token)
        seen[said] += 1
    return seen


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────

KEYS = json.loads((VECTORS / "keys.json").read_text())["keys"]


def public(name: str, kid: str = KID) -> dict[str, Any]:
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid,
        "n": KEYS[name]["n"],
        "e": KEYS[name]["e"],
    }


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Maker:
    """Tokens, changed at random, the same on every run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.private: Any = {
            name: RSAAlgorithm.from_jwk(json.dumps(KEYS[name])) for name in ("main", "attacker")
        }
        self.header = {"alg": "RS256", "typ": "JWT", "kid": KID}

    @property
    def claims(self) -> dict[str, Any]:
        """Those of a good token; no two are the same."""
        jti = f"{self.random.getrandbits(64):016x}"
        return {
            **{"iss": ISSUER, "sub": "agt_1", "aud": "mcp", "iat": NOW, "exp": NOW + 300, "jti": jti},
            "domain": DOMAIN,
        }

    def sign(self, header: Any, payload: Any, key: str = "main") -> str:
        parts = [
            part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
            for part in (header, payload)
        ]
        message = ".".join(b64u(part) for part in parts)
        signature = self.private[key].sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{message}.{b64u(signature)}"

    def value(self) -> Any:
        edge = NOW + self.random.choice((-120, 0, 120)) + self.random.choice((-1, 0, 1))
        return self.random.choice(
            (
                *(
                    None,
                    True,
                    False,
                    0,
                    1,
                    -1,
                    1.5,
                    edge,
                    edge + 0.5,
                    float(edge),
                    str(edge),
                    2**63,
                    2**64,
                    2**70,
                ),
                *(
                    "",
                    " ",
                    "\t\x1c",
                    "x",
                    "mcp",
                    ISSUER,
                    DOMAIN,
                    "é",
                    [],
                    ["mcp"],
                    ["x", "mcp"],
                    ["mcp", 1],
                    {},
                ),
                *({"mcp": 1}, [None], [[]], ISSUER + "/", DOMAIN.upper(), f" {DOMAIN}", f"{DOMAIN}.", 1e300),
            )
        )

    def with_claims(self) -> str:
        claims = self.claims
        names = (*claims, *claims, "nbf", "user_id", "request_id", "passport_version", "scope", "agent_id")
        for name in self.random.sample(names, self.random.choice((1, 1, 1, 2, 3))):
            if self.random.random() < 0.15:
                claims.pop(name, None)
            else:
                claims[name] = self.value()
        return self.sign(self.header, claims, self.random.choice(("main",) * 19 + ("attacker",)))

    def with_domain(self) -> str:
        labels = (
            "tools",
            "example",
            "com",
            "a",
            "A",
            "1",
            "127",
            "0x7f",
            "local",
            "-a",
            "a-",
            "a_b",
            "é",
            "",
            "x" * 63,
        )
        domain = ".".join(self.random.choice(labels) for _ in range(self.random.randint(1, 4)))
        affix = self.random.choice(("", "", "", "https://", " ", "\n", ":80", "/", "/a", "@", "."))
        text = affix + domain if affix in ("https://", " ", "@") else domain + affix
        return self.sign(self.header, {**self.claims, "domain": text})

    def with_header(self) -> str:
        header: dict[str, Any] = dict(self.header)
        for _ in range(self.random.choice((1, 1, 2))):
            name = self.random.choice(("alg", "kid", "typ", "crit", "b64", "cty", "jwk"))
            pool: dict[str, tuple[Any, ...]] = {
                "alg": ("RS256", "RS384", "HS256", "none", "rs256", "", None, 1, ["RS256"], {"RS256": 1}),
                "kid": (KID, "", "x", None, 1, [KID], KID.upper(), f"{KID} ", "key-2025-07"),
                "crit": ([], ["b64"], ["exp"], ["b64", "b64"], [1], "b64", None, {"b64": 1}),
                "b64": (True, False, None, 0, 1, "false"),
            }
            header[name] = self.random.choice(pool.get(name, ("JWT", "at+jwt", 1, None, {})))
        if self.random.random() < 0.1:
            header.pop(self.random.choice(list(header)))
        return self.sign(header, self.claims)

    def with_text(self) -> str:
        """JSON of which readers may think differently."""
        text = json.dumps(self.claims)
        odd = self.random.choice(
            (
                *(
                    ',"x":NaN',
                    ',"x":-Infinity',
                    ',"x":1e999',
                    ',"x":1e308',
                    ',"x":-0',
                    ',"x":01',
                    ',"x":1.',
                    ',"x":.5',
                ),
                *(
                    ',"x":"\\ud800"',
                    ',"x":"\\ud83c\\udf4b"',
                    ',"x":"\\u0000"',
                    ',"x":"\\x"',
                    ',"x":"\t"',
                    ",",
                    ',"x"',
                ),
                *(
                    ',"x":1' + "0" * 400,
                    ',"x":1' + "0" * 300,
                    ',"x":' + "[" * 126 + "]" * 126,
                    ',"x":' + "[" * 140 + "]" * 140,
                ),
                *(
                    ',"sub":"agt_2"',
                    ',"exp":1',
                    ',"x":{"a":1,"a":2}',
                    ',"domain":"evil.example"',
                    ',"x":1e2',
                    ',"x":True',
                    ",'x':1",
                ),
                *(
                    f',"exp":{NOW + 300}',
                    ',"iat":NaN',
                    ',"nbf":Infinity',
                    ',"nbf":1e400',
                    ',"aud":"mcp"',
                    ',"x":/**/1',
                ),
            )
        )
        text = text[:-1] + odd + "}"
        raw = text.encode()
        how = self.random.randrange(12)
        if how == 0:
            raw = b"\xef\xbb\xbf" + raw
        elif how == 1:
            raw = json.dumps(self.claims).encode(self.random.choice(("utf-16", "utf-16-le", "utf-32-be")))
        elif how == 2:
            raw = self.random.choice((b" ", b"\n\t", b"\x0b", b"\x00", b"x")) + raw
        elif how == 3:
            raw += self.random.choice((b" ", b"\n", b"{}", b"\x00", b","))
        elif how == 4:
            at = self.random.randrange(len(raw))
            raw = raw[:at] + bytes([self.random.randrange(256)]) + raw[at + 1 :]
        elif how == 5:
            raw = raw[: self.random.randrange(len(raw))]
        if self.random.random() < 0.2:
            name = raw if how < 6 else text.encode()
            return self.sign(name.replace(b"}", f',"alg":"RS256","kid":"{KID}"}}'.encode()), self.claims)
        return self.sign(self.header, raw)

    def with_characters(self, token: str) -> str:
        """A signed token, changed after it was signed."""
        characters = "ABCxyz019-_+/=. \n\té{}\x00"
        for _ in range(self.random.choice((1, 1, 1, 2, 5))):
            at = self.random.randrange(len(token))
            how = self.random.randrange(9)
            if how == 0:
                token = token[:at] + self.random.choice(characters) + token[at + 1 :]
            elif how == 1:
                token = token[:at] + self.random.choice(characters) + token[at:]
            elif how == 2:
                token = token[:at] + token[at + 1 :]
            elif how == 3:
                token = token[:at] + token[at:].swapcase()
            elif how == 4:
                segments = token.split(".")
                self.random.shuffle(segments)
                token = ".".join(segments)
            elif how == 5:
                segments = token.split(".")
                one = self.random.randrange(len(segments))
                segments[one] += self.random.choice(("=", "==", "===", "A", "AA", " ", "\n"))
                token = ".".join(segments)
            elif how == 6:
                token += self.random.choice(("", " ", "\n", ".", ".x", token))
            elif how == 7:
                token = self.random.choice((" ", "Bearer ", "\n", ".", "")) + token
            else:
                token = token[: len(token) - self.random.randrange(8)]
            token = token or "x"
        return token

    def tokens(self) -> list[str]:
        signed = [self.with_claims() for _ in range(12_000)]
        signed += [self.with_domain() for _ in range(3_000)]
        signed += [self.with_header() for _ in range(4_000)]
        signed += [self.with_text() for _ in range(4_000)]
        good = self.sign(self.header, self.claims)
        signed += [good, self.sign(self.header, {**self.claims, "x": "y" * 6200})]
        signed.append(self.sign({**self.header, "crit": ["b64"], "b64": True}, self.claims))
        signed += [f"{token}==" for token in signed[:50]]
        sources = [good] * len(signed) + signed
        changed = [self.with_characters(self.random.choice(sources)) for _ in range(45_000)]
        return signed + changed


def group(tokens: list[str], **other: Any) -> dict[str, Any]:
    keys = [public("second", "key-2025-07"), public("main")]
    usual = {"issuer": ISSUER, "audience": "mcp", "leeway": 120, "now": NOW, "keys": keys, "domain": DOMAIN}
    return {**usual, **other, "tokens": tokens}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access-tokens")


def test_both_take_the_same_of_fifty_thousand_tokens(folder: Path) -> None:
    maker = Maker(8)
    tokens = maker.tokens()
    assert len(set(tokens)) >= 50_000
    # The domain and the fraction of the clock are no affair of the tokens'.
    asked = {
        "groups": [group(tokens), group(tokens[12_000:15_000], domain="tools.example", now=NOW + 0.5)],
        "domains": [],
    }
    there, here = both(asked, folder)
    seen: Counter[str] = Counter()
    for one, published, ours in zip(asked["groups"], there["groups"], here["groups"], strict=True):
        seen += compare(one, published, ours)
    # Enough of each, so that the comparison says something.
    for verdict in ("accepted", "Invalid token", *STABLE):
        assert seen[verdict] >= 50, seen
    on_purpose = {
        verdict.removeprefix("on purpose: ") for verdict in seen if verdict.startswith("on purpose")
    }
    assert on_purpose == rows()


def test_the_vectors_say_what_the_published_package_says(folder: Path) -> None:
    document = json.loads((VECTORS / "access_tokens.json").read_text())
    groups = []
    for case in document["cases"]:
        keys = document["jwks"][case["jwks"]]["keys"]
        settings = {
            "issuer": case["issuer"],
            "now": case["now"],
            "domain": case["expected_domain"],
            "keys": keys,
        }
        more = {"audience": case.get("audience", "mcp"), "leeway": case.get("leeway", 120)}
        groups.append(group([case["jwt"]], **settings, **more))
    there, here = both({"groups": groups, "domains": []}, folder)
    differing = set()
    for case, one, published, ours in zip(
        document["cases"], groups, there["groups"], here["groups"], strict=True
    ):
        assert isinstance(ours[0], dict) == ("claims" in case["expect"]), case["id"]
        if isinstance(published[0], dict) != isinstance(ours[0], dict):
            differing.add(case["id"])
            if one["keys"][0].get("kid") is not None and "1024" not in case["id"]:
                compare(one, published, ours)
    # By the key document rather than by the token: rows of the table of what differs on purpose.
    assert {"kid-missing-as-in-the-document", "rsa-1024"} <= differing
    assert len(differing) < 25, differing


def test_domains_are_the_same(folder: Path) -> None:
    cases = json.loads((VECTORS / "mcp_domains.json").read_text())["cases"]
    maker = random.Random(8)
    pieces = (
        "a",
        "B",
        "1",
        "-",
        ".",
        ":",
        "/",
        "@",
        "[",
        "]",
        " ",
        "\n",
        "é",
        "K",
        "http://",
        "https://",
        "local",
        "lan",
    )
    made = ["".join(maker.choice(pieces) for _ in range(maker.randint(0, 8))) for _ in range(20_000)]
    there, here = both({"groups": [], "domains": [*(case["domain"] for case in cases), *made]}, folder)
    assert there["domains"] == here["domains"]
    for case, found in zip(cases, there["domains"], strict=False):
        expect = case["expect"]
        assert (
            found == [expect["canonical"]] if "canonical" in expect else expect["message_contains"] in found
        )


STORY = """
import sys
from importlib.metadata import version
from lime_mcp_server import TokenVerifier
with TokenVerifier(expected_domain="tools.example.com") as verifier:
    good, other, odd = (verifier.verify(token) for token in sys.argv[1:])
assert good.is_valid and good.domain == "tools.example.com" and good.agent_id, good
assert other.error == "Domain mismatch", other
assert odd.error == "Invalid token: forbidden claim: user_id", odd
print(version("lime-mcp-server-sdk"))
"""


@pytest.mark.parametrize("platform", ["today", "both"])
def test_the_published_package_takes_the_sandboxes_tokens(platform: str) -> None:
    python = environment("mcp-server", *MCP_SERVER)
    with Sandbox("--platform", platform) as sandbox:
        tokens = [
            sandbox.mcp_token("tools.example.com"),
            sandbox.mcp_token("other.example.com"),
            sandbox.mcp_token("tools.example.com", claims={"user_id": "u"}),
        ]
        command = [str(python), "-c", STORY, *tokens]
        story = subprocess.run(
            command, env={**os.environ, **sandbox.environment}, capture_output=True, text=True, timeout=120
        )
    assert (story.stdout, story.stderr, story.returncode) == ("1.0.2\n", "", 0)
