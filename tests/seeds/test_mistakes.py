"""What a type checker says of programs that are wrong; tools/check.py has it look at those that are right."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from conftest import ROOT

PROGRAM = """
import lime_sites, lime_agents, sesame_sdk
from lime_sites import LimeSight  # attr-defined
lime_agents.nothing  # attr-defined
sesame_sdk.Sesam()  # attr-defined
lime_sites.LimeSite("st_x")  # call-arg
lime_sites.LimeSite(timeout="30")  # arg-type

async def main(site: lime_sites.LimeSite, agent: lime_agents.LimeAgent) -> None:
    await agent.login(5)  # call-overload
    result = await agent.login("x")
    result.status = "x"  # misc
    result.nothing  # attr-defined
    site.create_login_request()  # unused-coroutine

    @site.on_login
    async def handler(request_id: str) -> None:  # arg-type
        pass

@sesame_sdk.require_approval("a")
def gated(amount: int) -> str:
    return ""

gated("x")  # arg-type
gated(1) + 1  # operator
sesame_sdk.verify_webhook({}, b"", 5)  # arg-type
"""


def test_mistakes_are_found(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file", "bindings-python/pyproject.toml"),
            *("--no-error-summary", "--enable-error-code", "unused-coroutine"),
            *("--cache-dir", "build/cache/mypy", str(program)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    found = [
        (int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]"))
        for line in done.stdout.splitlines()
        if ": error: " in line
    ]
    # A comment on a decorated function stands one line below the decorator that is wrong.
    wanted = [
        (number - ("async def handler" in line), line.partition("  # ")[2])
        for number, line in enumerate(program.read_text().splitlines(), 1)
        if "  # " in line
    ]
    assert found == wanted, done.stdout
