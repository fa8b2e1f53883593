"""A sandbox for each test that asks for one, and the environment that points at it."""

from __future__ import annotations

import asyncio
import filecmp
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lime_sdk.testing import LimeSandbox

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "target/debug/lime-sandbox"
if "LIME_SANDBOX_BINARY" not in os.environ and BUILT.exists():
    # Its copy: cargo and maturin take the built one away for a moment, and tests build beside tests.
    copy = ROOT / "build/tests/lime-sandbox"
    if not copy.exists() or not filecmp.cmp(BUILT, copy):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(BUILT, copy.with_suffix(f".{os.getpid()}")).replace(copy)
    os.environ["LIME_SANDBOX_BINARY"] = str(copy)


class Sandbox(LimeSandbox):
    """The sandbox that users test with, plus what only our tests do to it."""

    def __init__(self, *arguments: str, port: int = 0) -> None:
        """Start one with options as on the command line, and its own defaults."""
        names = [name.removeprefix("--").replace("-", "_") for name in arguments[::2]]
        options: dict[str, Any] = {"difficulty": None, **dict(zip(names, arguments[1::2], strict=True))}
        super().__init__(port=port, **options)

    def approve(self, request_id: str) -> None:
        self.approve_login(request_id)

    def push_raw(self, raw: str) -> None:
        self.control("POST", "/events", {"raw": raw})


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    # One for each test, unlike lime_sandbox: many of them count connections and requests.
    with Sandbox("--difficulty", "8") as running, running.in_environment():
        yield running


async def until_open(site: Any) -> None:
    """Return when the site's event stream is open."""
    opened = asyncio.Event()

    @site.on_state
    def changed(status: Any) -> None:
        if status.state == "open":
            opened.set()

    await asyncio.wait_for(opened.wait(), 30)
