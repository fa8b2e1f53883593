"""The programs of the READMEs do what they say."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from typing import Any

import pytest
from conftest import ROOT, Sandbox

from lime_agents import SyncLimeAgent
from lime_sites import SyncLimeSite


def test_the_two_programs_sign_an_agent_in(sandbox: Sandbox) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    site, agent, _ = (block for block in blocks if "asyncio.run" in block)
    signing = subprocess.Popen(
        [sys.executable, "-c", site], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert signing.stdout is not None
    with signing:
        request_id = signing.stdout.readline().removeprefix("hand this to the agent: ").strip()
        done = subprocess.run(
            [sys.executable, "-c", agent, request_id], capture_output=True, text=True, timeout=60
        )
        assert (done.stdout.strip(), done.stderr) in (("DELIVERED", ""), ("APPROVED", ""))
        assert signing.stdout.readline().startswith("signed in: ")
    assert signing.returncode == 0


def blocks_of(heading: str) -> list[str]:
    """The Python of a section of the packages' own README."""
    text = (ROOT / "bindings-python/README.md").read_text()
    section = re.split(r"^## ", text.split(f"## {heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]
    found = re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)
    assert found, heading
    return found


def test_every_name_is_where_the_packages_readme_imports_it() -> None:
    [imports] = re.findall(
        r"^```python\n(.*?)^```",
        (ROOT / "bindings-python/README.md").read_text().split("\n## ")[0],
        re.M | re.S,
    )
    names: dict[str, object] = {}
    exec(imports, names)
    assert {"LimeSite", "LimeAgent", "SyncLimeSite", "SyncLimeAgent", "require_approval"} <= names.keys()


def test_a_site_without_an_event_loop(sandbox: Sandbox) -> None:
    [block] = blocks_of("Without an event loop")
    handled = threading.Event()

    class Sessions(dict[str, str]):
        def __setitem__(self, request_id: str, agent_id: str) -> None:
            super().__setitem__(request_id, agent_id)
            handled.set()

    names: dict[str, Any] = {"sessions": Sessions()}

    def confirm() -> None:
        sandbox.control("GET", "/received?route=create_request&min=1&wait_ms=30000")
        [request] = sandbox.control("GET", "/login-requests")["login_requests"]
        sandbox.approve(request["login_request_id"])

    agent = threading.Thread(target=confirm)
    agent.start()
    exec(block, names)
    agent.join()
    assert names["passport"].count(".") == 2
    assert handled.wait(30)
    names["site"].close()
    [request] = sandbox.control("GET", "/login-requests")["login_requests"]
    assert names["sessions"] == {request["login_request_id"]: request["approved_agent_id"]}


def test_an_mcp_server(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    [block] = blocks_of("MCP servers")
    for domain, said in (("tools.example.com", "agent "), ("other.example.com", "no: Domain mismatch")):
        names: dict[str, Any] = {"token": sandbox.mcp_token(domain)}
        exec(block, names)
        names["verifier"].close()
        assert capsys.readouterr().out.startswith(said)


def test_progress(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    [block] = blocks_of("Progress")
    with SyncLimeSite() as site:
        request_id = site.create_login_request().request_id
    names: dict[str, Any] = {"SyncLimeAgent": SyncLimeAgent, "request_id": request_id}
    exec(block, names)
    assert names["bar"].total == 256  # about 2 ** 8 hashes
    assert "s left" in capfd.readouterr().err


def test_approvals(sandbox: Sandbox) -> None:
    [block] = blocks_of("Approvals")
    ran: list[str] = []
    with sandbox.auto_approve("db.*"):
        names: dict[str, Any] = {"run_deletion": lambda: ran.append("deletion")}
        exec(block, names)
        assert ran == ["deletion"]
        assert asyncio.run(names["delete"]("users", 1204)) is None
    gated = [a for a in sandbox.approvals() if a["dedup_key"] != "gdpr-882"]
    assert [a["status"] for a in gated] == ["approved"]
    assert gated[0]["context"]["arguments"] == {"table": "users", "rows": 1204}
