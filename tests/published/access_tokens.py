"""Prints what a package makes of access tokens, as JSON: the claims, or the words of the refusal.

Run by the published package's environment and by ours, with the clock of each case.

Usage: python access_tokens.py FILE, which is {"groups": [{issuer, audience, leeway, now, keys, domain, tokens}],
"domains": [text]}
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import lime_mcp_server
from lime_mcp_server import TokenVerifier, normalize_mcp_domain, verify_mcp_access_token

OURS = hasattr(lime_mcp_server, "InvalidTokenError")


class Fixed:
    """In place of a cache: these keys, and nothing is fetched."""

    def __init__(self, keys: list[dict[str, Any]], issuer: str) -> None:
        self.found = keys, issuer

    def warm(self) -> bool:
        return True

    def get_jwks(self, kid: str | None) -> tuple[list[dict[str, Any]], str]:
        return self.found


def set_clock(now: float) -> None:
    """What the package takes for the present."""
    if OURS:
        from lime_mcp_server import _verifier

        _verifier.verify_mcp_access_token = lambda *args, **more: verify_mcp_access_token(  # type: ignore[assignment]
            *args, **more, now=now
        )
        return
    from datetime import datetime

    import jwt.api_jwt

    class Still(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(now, tz)

    jwt.api_jwt.datetime = Still  # type: ignore[attr-defined]


def verdicts(group: dict[str, Any]) -> list[Any]:
    set_clock(group["now"])
    verifier = TokenVerifier(
        expected_domain=group["domain"],
        audience=group["audience"],
        leeway_seconds=group["leeway"],
        cache=Fixed(group["keys"], group["issuer"]),  # type: ignore[arg-type]
    )
    found: list[Any] = []
    for token in group["tokens"]:
        try:
            result = verifier.verify(token)
        except Exception as error:
            found.append(f"raised {type(error).__name__}")
            continue
        found.append(result.claims if result.is_valid else str(result.error).split(":")[0])
    return found


def domain(raw: str) -> Any:
    try:
        return [normalize_mcp_domain(raw)]
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    answers = types.SimpleNamespace(
        groups=[verdicts(group) for group in asked["groups"]],
        domains=[domain(raw) for raw in asked["domains"]],
    )
    json.dump(vars(answers), sys.stdout)
