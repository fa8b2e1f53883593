"""Types at run time: what frameworks look up."""

from __future__ import annotations

import typing
from datetime import datetime, timezone
from typing import Any

import pydantic
import pytest
from fastapi import FastAPI

import lime_agents
import lime_sites

MOMENT = datetime(2030, 1, 2, tzinfo=timezone.utc)

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
