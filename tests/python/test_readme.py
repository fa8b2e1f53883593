"""The programs of the README do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from conftest import ROOT, Sandbox


def test_the_two_programs_sign_an_agent_in(sandbox: Sandbox) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    site, agent = (block for block in blocks if "asyncio.run" in block)
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
