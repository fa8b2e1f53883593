"""The shared vectors, run through the Python packages; the ids that ran go to the parity check."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import lime_agents
import lime_mcp_server
import lime_sdk
import sesame_sdk
from lime_sdk import _native

VECTORS = ROOT / "tests/vectors"


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return document


def cases(name: str) -> Any:
    return pytest.mark.parametrize("case", load(name)["cases"], ids=lambda case: case["id"])


@pytest.fixture(autouse=True, scope="module")
def ran() -> Any:
    ids: list[str] = []
    yield ids
    parity = ROOT / "build/parity"
    parity.mkdir(parents=True, exist_ok=True)
    (parity / "python.txt").write_text("".join(f"{line}\n" for line in ids))


@pytest.fixture(autouse=True)
def note(ran: list[str], request: pytest.FixtureRequest) -> None:
    node = request.node
    if not hasattr(node, "callspec"):
        return
    ran.append(
        f"{Path(node.originalname).name.removeprefix('test_')}.json:{node.callspec.params['case']['id']}"
    )


def raw(case: dict[str, Any], field: str) -> bytes:
    if field in case:
        return str(case[field]).encode()
    return base64.b64decode(case[f"{field}_base64"])


def assert_error(error: lime_sdk.LimeError, expected: dict[str, Any]) -> None:
    assert error.kind == expected["error"]
    assert expected.get("message_contains", "") in error.message


@cases("pow.json")
def test_pow(case: dict[str, Any]) -> None:
    arguments = {"digest": case["digest"], "timeout": case.get("timeout_ms", 60_000) / 1000}
    if "error" in case:
        with pytest.raises(lime_sdk.PowTimeoutError) as caught:
            lime_sdk.solve_pow(case["challenge"], case["difficulty"], **arguments)
        assert_error(caught.value, case)
    else:
        assert lime_sdk.solve_pow(case["challenge"], case["difficulty"], **arguments) == case["nonce"]


PASSPORTS = load("passports.json")


@cases("passports.json")
def test_passports(case: dict[str, Any]) -> None:
    arguments = {
        "jwks": PASSPORTS["jwks"][case["jwks"]],
        "api_root": case["api_root"],
        "expected_request_id": case.get("expected_request_id"),
        "require_issuer": case.get("require_issuer", False),
        "now": case["now"],
    }
    if "error" in case["expect"]:
        with pytest.raises(lime_sdk.InvalidPassportError) as caught:
            lime_sdk.verify_passport(case["jwt"], **arguments)
        assert_error(caught.value, case["expect"])
    else:
        assert lime_sdk.verify_passport(case["jwt"], **arguments) == case["expect"]["claims"]


BINDINGS = load("bindings.json")


@cases("bindings.json")
def test_bindings(case: dict[str, Any]) -> None:
    arguments = {
        "jwks": BINDINGS["jwks"][case["jwks"]],
        "api_root": case["api_root"],
        "expected_binding_id": case.get("expected_binding_id"),
        "require_issuer": case.get("require_issuer", False),
        "now": case["now"],
    }
    if "error" in case["expect"]:
        with pytest.raises(lime_sdk.InvalidPassportError) as caught:
            lime_sdk.verify_binding_passport(case["jwt"], **arguments)
        assert_error(caught.value, case["expect"])
    else:
        assert lime_sdk.verify_binding_passport(case["jwt"], **arguments) == case["expect"]["claims"]


ACCESS_TOKENS = load("access_tokens.json")


@cases("access_tokens.json")
def test_access_tokens(case: dict[str, Any]) -> None:
    arguments = {
        "issuer": case["issuer"],
        "audience": case.get("audience", "mcp"),
        "jwks_keys": ACCESS_TOKENS["jwks"][case["jwks"]]["keys"],
        "expected_domain": case["expected_domain"],
        "leeway_seconds": case.get("leeway", 120),
        "now": case["now"],
    }
    expect = case["expect"]
    if "claims" in expect:
        assert lime_mcp_server.verify_mcp_access_token(case["jwt"], **arguments) == expect["claims"]
    else:
        with pytest.raises(lime_mcp_server.InvalidTokenError) as caught:
            lime_mcp_server.verify_mcp_access_token(case["jwt"], **arguments)
        assert (caught.value.kind, caught.value.code) == (expect["error"], expect["code"])


@cases("mcp_domains.json")
def test_mcp_domains(case: dict[str, Any]) -> None:
    expect = case["expect"]
    if "canonical" in expect:
        assert lime_mcp_server.normalize_mcp_domain(case["domain"]) == expect["canonical"]
    else:
        with pytest.raises(ValueError, match=expect["message_contains"]):
            lime_mcp_server.normalize_mcp_domain(case["domain"])


@cases("sse.json")
def test_sse(case: dict[str, Any]) -> None:
    data = raw(case, "input")
    for size in (max(len(data), 1), 1, 2):
        parser = lime_sdk.EventParser()
        events: list[tuple[str, str, str]] = []
        for start in range(0, len(data), size):
            events += parser.feed(data[start : start + size])
        assert [dict(zip(("event", "data", "id"), event, strict=True)) for event in events] == case["events"]
        assert parser.retry_millis == case["retry_ms"]
        assert parser.last_event_id == case["last_event_id"]
        if "frames" in case:
            assert [frame(data) for _, data, _ in events] == case["frames"]


def frame(data: str) -> dict[str, str]:
    kind, *texts = lime_sdk.parse_frame(data)
    names = {"approved": ("request_id", "passport"), "expired": ("request_id",), "error": ("code", "message")}
    return {"kind": kind, **dict(zip(names.get(kind, ()), texts, strict=False))}


@cases("envelopes.json")
def test_envelopes(case: dict[str, Any]) -> None:
    body, expect = raw(case, "body"), case["expect"]
    if "data" in expect:
        assert lime_sdk.open_envelope(case["http_status"], body) == expect["data"]
        return
    with pytest.raises(lime_sdk.LimeError) as caught:
        lime_sdk.open_envelope(case["http_status"], body)
    error = caught.value
    found = {
        "kind": error.kind,
        "code": error.code,
        "message": error.message,
        "http_status": error.http_status,
        "detail": error.detail,
    }
    assert found == expect["error"]


@cases("timestamps.json")
def test_timestamps(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ValueError, match="ISO 8601"):
            lime_sdk.parse_timestamp(case["text"])
        return
    assert _native.parse_timestamp(case["text"]) == (case["unix_micros"], case["offset_seconds"])
    moment = lime_sdk.parse_timestamp(case["text"])
    offset = moment.utcoffset()
    assert offset is not None
    assert offset.total_seconds() == (case["offset_seconds"] or 0)


@cases("webhooks.json")
def test_webhooks(case: dict[str, Any]) -> None:
    if "sign" in case:
        sign = case["sign"]
        arguments = (raw(sign, "body"), raw(sign, "secret"))
        if "error" in case["expect"]:
            with pytest.raises(sesame_sdk.WebhookVerificationError) as caught:
                sesame_sdk.sign_webhook(*arguments, timestamp=sign["timestamp"])
            assert (caught.value.kind, caught.value.reason) == ("webhook", case["expect"]["code"])
            return
        signed = sesame_sdk.sign_webhook(*arguments, timestamp=sign["timestamp"])
        assert signed == {
            "X-Sesame-Signature": case["expect"]["signature"],
            "X-Sesame-Timestamp": case["expect"]["timestamp"],
        }
        return
    options: dict[str, Any] = {}
    if "tolerance_ms" in case:
        options["tolerance"] = case["tolerance_ms"] / 1000
    if "guard" in case:
        horizon, capacity = case["guard"]["horizon_ms"] / 1000, case["guard"]["capacity"]
        options["replay_guard"] = sesame_sdk.ReplayGuard(horizon=horizon, capacity=capacity)
    secrets = [raw(secret, "secret") for secret in case["secrets"]]
    for delivery in case["deliveries"]:
        headers = [(header["name"], raw(header, "value")) for header in delivery["headers"]]
        body, expect = raw(delivery, "body"), delivery["expect"]
        if "error" in expect:
            with pytest.raises(sesame_sdk.WebhookVerificationError) as caught:
                sesame_sdk.verify_webhook(headers, body, secrets, now=delivery["now"], **options)
            assert (caught.value.kind, caught.value.reason) == (expect["error"], expect["code"])
            assert expect.get("message_contains", "") in str(caught.value)
        else:
            payload = sesame_sdk.verify_webhook(headers, body, secrets, now=delivery["now"], **options)
            assert payload == expect["payload"]
        if "forget" in delivery:
            assert options["replay_guard"].forget(body) is delivery["forget"]


def test_every_kind_has_a_class_and_a_negative_vector() -> None:
    from lime_sdk import _errors
    from sesame_sdk import exceptions

    names = {name for _, name, _ in _native.ERROR_KINDS}
    assert {*_errors._CLASSES, *exceptions._CLASSES} <= names
    pure = {"rate_limit", "authentication", "api", "bad_response", "invalid_passport", "passport_expired"}
    pure |= {"pow_timeout", "pow_difficulty", "agent_inactive", "agent_user_suspended"}
    pure |= {"auth_unavailable", "site_auth_unavailable"}
    seen = {case.get("error") for case in load("pow.json")["cases"]}
    seen |= {case["expect"].get("error") for case in load("passports.json")["cases"]}
    seen |= {
        case["expect"]["error"]["kind"]
        for case in load("envelopes.json")["cases"]
        if "error" in case["expect"]
    }
    assert pure <= seen


@cases("mcp_targets.json")
def test_mcp_targets(case: dict[str, Any]) -> None:
    expect = case["expect"]
    read = {
        "domain": lime_agents.extract_and_normalize_domain,
        "url": lime_agents.resolve_mcp_http_url,
    }
    for member, function in read.items():
        if "error" not in expect:
            assert function(case["target"]) == expect[member]
            continue
        with pytest.raises(ValueError, match=expect["message_contains"]):
            function(case["target"])
