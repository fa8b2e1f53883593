"""Passports verified, the key at hand, awaited one after the other: ``passport.py BASE-URL SITE-TOKEN JWT``.

The same program for the published package and for ours.
"""

from __future__ import annotations

import asyncio
import sys

import turns

from lime_sites import LimeSite

base_url, token, jwt = sys.argv[1:]
loop = asyncio.new_event_loop()


async def start() -> LimeSite:
    """Make the client where it belongs: on the loop."""
    return LimeSite(site_token=token, base_url=base_url)


async def verify(count: int) -> None:
    """Verify, and look at what came back."""
    for _ in range(count):
        checked = await site.verify_passport(jwt)
        assert checked.valid


site = loop.run_until_complete(start())
turns.serve(lambda count: loop.run_until_complete(verify(count)))
