"""Types at run time, and what a type checker says of programs that are wrong.

tools/check.py has it look at those that are right.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import typing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pydantic
import pytest
from conftest import ROOT
from fastapi import FastAPI

import lime_agents
import lime_sites

MOMENT = datetime(2030, 1, 2, tzinfo=timezone.utc)

PROGRAM = """
import lime_sites, lime_agents, sesame_sdk
from lime_sites import LimeSight  # attr-defined
lime_agents.nothing  # attr-defined
sesame_sdk.Sesam()  # attr-defined
lime_sites.LimeSite("st_x")  # call-arg
lime_sites.LimeSite(timeout="30")  # arg-type

async def main(site: lime_sites.LimeSite, agent: lime_agents.LimeAgent) -> None:
    result = await agent.login(5)  # arg-type
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


RESULTS = (
    lime_sites.LoginRequestResult("l", "PENDING", MOMENT),
    lime_sites.LoginRequestStatus("l", "EXPIRED", None),
    lime_sites.LoginResult("l", "j"),
    lime_sites.PassportVerificationResult(True, {"agent_id": "a"}),
    lime_agents.ApprovalResult("l", "s", "DELIVERED", MOMENT),
    lime_agents.AgentProfile("a", "o", None, None, None, 1, 2),
)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_results_are_types_of_models_and_of_answers(result: Any) -> None:
    """pydantic and FastAPI look up at run time what the annotations name."""
    adapter = pydantic.TypeAdapter(type(result))
    assert adapter.validate_json(adapter.dump_json(result)) == result
    typing.get_type_hints(type(result))
    app = FastAPI()
    app.get("/", response_model=type(result))(lambda: result)
    assert app.openapi()["components"]["schemas"][type(result).__name__]["properties"]


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
