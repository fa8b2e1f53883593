"""Access tokens verified, the key at hand: ``access_token.py ORIGIN DOMAIN TOKEN``.

The same program for the published package and for ours.
"""

from __future__ import annotations

import sys

import turns

from lime_mcp_server import TokenVerifier

origin, domain, token = sys.argv[1:]
verifier = TokenVerifier(expected_domain=domain, base_url=origin)


def work(count: int) -> None:
    """Verify, and look at what came back."""
    for _ in range(count):
        assert verifier.verify(token).is_valid


turns.serve(work)
