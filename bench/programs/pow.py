"""Nonces tried: ``pow.py published|ours seed|today CHALLENGE-LENGTH``.

Both look for the smallest nonce of the same challenges, so the nonce that is found says how many were tried. The
difficulty grows with what is asked for: the published solver is asked for less than ours.
"""

from __future__ import annotations

import sys

import turns

who, digest, length = sys.argv[1], sys.argv[2], int(sys.argv[3])
rounds = 0

if who == "published":
    from lime_agents._pow import solve as published

    def solve(challenge: str, difficulty: int) -> str:
        return published(challenge, difficulty, max_timeout=600.0)

else:
    import lime_sdk

    def solve(challenge: str, difficulty: int) -> str:
        return lime_sdk.solve_pow(challenge, difficulty, digest=digest, timeout=600)


def work(count: int) -> dict[str, int]:
    """Solve challenges, each worth about a sixteenth of the count, until that many nonces were tried."""
    global rounds
    difficulty, tried = max(count.bit_length() - 4, 1), 0
    while tried < count:
        rounds += 1
        tried += int(solve(f"{rounds:0{length}}", difficulty)) + 1
    return {"count": tried}


turns.serve(work)
