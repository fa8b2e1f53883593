"""A sandbox for each test that asks for one, and the environment that points at it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
BINARY = Path(os.environ.get("LIME_SANDBOX_BINARY", ROOT / "target/debug/lime-sandbox"))


class Sandbox:
    """A running `lime-sandbox` and its control API."""

    def __init__(self, *arguments: str, port: int = 0) -> None:
        command = [str(BINARY), "--port", str(port), "--json", "--exit-with-parent", *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        info = json.loads(self._process.stdout.readline())
        self.api_base: str = info["lime_api_base"]
        self.site_token: str = info["site_token"]
        self.agent_token: str = info["agent_token"]
        self.control_url: str = info["control_url"]
        self.sesame_url: str = info["sesame_url"]
        self.sesame_api_key: str = info["sesame_api_key"]
        self.webhook_secret: str = info["webhook_secret"]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LIME_API_BASE": self.api_base,
            "LIME_SITE_TOKEN": self.site_token,
            "LIME_AGENT_TOKEN": self.agent_token,
            "SESAME_BROKER_URL": self.sesame_url,
            "SESAME_API_KEY": self.sesame_api_key,
            "SESAME_WEBHOOK_SECRET": self.webhook_secret,
        }

    def control(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.control_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text else None

    def fault(self, route: str, **rule: Any) -> None:
        self.control("POST", "/faults", {"route": route, **rule})

    def received(self, route: str) -> list[dict[str, Any]]:
        found = self.control("GET", "/received")
        entries = found["received"] if isinstance(found, dict) else found
        return [entry for entry in entries if entry["route"] == route]

    def approve(self, request_id: str) -> None:
        self.control("POST", f"/login-requests/{request_id}/approve", {})

    def expire(self, request_id: str) -> None:
        self.control("POST", f"/login-requests/{request_id}/expire", {})

    def push_raw(self, raw: str) -> None:
        self.control("POST", "/events", {"raw": raw})

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    running = Sandbox("--difficulty", "8")
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    # The client that gates share was made from another test's environment.
    monkeypatch.setattr("sesame_sdk.decorator._default_client", None)
    yield running
    running.close()


async def until_open(site: Any) -> None:
    """Return when the site's event stream is open."""
    opened = asyncio.Event()

    @site.on_state
    def changed(status: Any) -> None:
        if status.state == "open":
            opened.set()

    await asyncio.wait_for(opened.wait(), 30)
