"""Whatever the packages give or raise pickles and copies; what holds connections says that it does not."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import subprocess
import sys
from datetime import datetime, timezone
from typing import Any

import pytest

from lime_sites import ApiError

PACKAGES = ("lime_sdk", "lime_sites", "lime_agents", "lime_mcp_server", "sesame_sdk")
MOMENT = datetime(2030, 1, 2, tzinfo=timezone.utc)


def public_classes() -> list[type]:
    found = {
        value
        for package in PACKAGES
        for name in importlib.import_module(package).__all__
        if inspect.isclass(value := getattr(importlib.import_module(package), name))
    }
    return sorted(found, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


ERRORS = [kind for kind in public_classes() if issubclass(kind, Exception)]
RESULTS = [kind for kind in public_classes() if dataclasses.is_dataclass(kind)]


def sample(kind: Any) -> Any:
    if issubclass(kind, ApiError):
        return kind("CODE", "message", http_status=400, detail={"a": [1]}, request_id="r", retry_after=1.5)
    return kind("message")


def test_there_are_some() -> None:
    assert len(ERRORS) >= 20
    assert len(RESULTS) >= 7


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_errors_with_all_that_was_set_on_them(kind: type[Exception], protocol: int) -> None:
    error: Any = sample(kind)
    error.kind = "some_kind"
    error.of_the_program = [1, 2]
    for other in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert (other.args, str(other), vars(other)) == (error.args, str(error), vars(error))


class Refined(ApiError):
    """A program's own, with another constructor."""

    def __init__(self, shop: str) -> None:
        super().__init__("SHOP", f"no such shop: {shop}", http_status=404)
        self.shop = shop


def test_a_programs_own_errors() -> None:
    other = pickle.loads(pickle.dumps(Refined("x")))
    assert (type(other), other.shop, other.code, str(other)) == (Refined, "x", "SHOP", "no such shop: x")


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_results(kind: type) -> None:
    values: dict[str, Any] = {
        field.name: MOMENT if field.name.endswith("_at") else {"a": [1]} if field.name == "claims" else None
        for field in dataclasses.fields(kind)
    }
    value = kind(**values)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):  # slots need 2
        other = pickle.loads(pickle.dumps(value, protocol))
        assert other == value
        assert repr(other) == repr(value)
    assert copy.deepcopy(value) == value


MODELS = """
import pickle, sys
if sys.argv[1] == "without":
    sys.modules["pydantic"] = None
from sesame_sdk import ApprovalState, TriggerResponse, WebhookPayload
for value in (
    TriggerResponse(approval_id="a", status="s"),
    ApprovalState(approval_id="a", status="s", expires_at="2030-01-02T00:00:00Z"),
    WebhookPayload(approval_id="a", action="x", status="s", decided_at="2030-01-02T00:00:00+02:00"),
):
    assert pickle.loads(pickle.dumps(value)) == value
"""


@pytest.mark.parametrize("pydantic", ["with", "without"])
def test_models(pydantic: str) -> None:
    done = subprocess.run([sys.executable, "-c", MODELS, pydantic], capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)


def test_what_holds_connections_does_not_pickle() -> None:
    from lime_agents import LimeAgent
    from lime_mcp_server import TokenVerifier
    from sesame_sdk import AsyncSesame, Sesame

    verifier = TokenVerifier(expected_domain="tools.example.com")
    for client in (
        verifier,
        LimeAgent(agent_token="at_x"),
        Sesame(api_key="sk_x"),
        AsyncSesame(api_key="sk_x"),
    ):
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(client)
