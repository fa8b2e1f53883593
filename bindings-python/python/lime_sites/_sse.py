"""Frames of the event stream, by the names that tests of programs import.

The client does not come by here: it reads the stream as the standard says (``lime_sdk.EventParser``).
What a frame means is asked of the same native code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

from lime_sdk import _native
from lime_sdk._errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "SseDispatchEvent",
    "SseFrameKind",
    "classify_sse_payload",
    "iter_sse_data_payloads",
    "parse_sse_json_payload",
]


class SseFrameKind(str, Enum):
    """What a frame is."""

    KEEPALIVE = "keepalive"
    APPROVED = "approved"
    EXPIRED = "expired"
    ERROR = "error"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class SseDispatchEvent:
    """A frame, taken apart.

    Attributes:
        kind: What it is.
        request_id: The login request that it is about.
        passport: The agent's passport, of an approved one.
        error_code: The platform's code, of an error frame.
        error_message: What the platform says, in an error frame.
    """

    kind: SseFrameKind
    request_id: str | None = None
    passport: str | None = None
    error_code: str | None = None
    error_message: str | None = None


def parse_sse_json_payload(payload_raw: str) -> dict[str, Any]:
    """Read the data of a frame.

    Args:
        payload_raw: What stands behind ``data:``.

    Raises:
        ApiError: It is no JSON object.
    """
    try:
        payload = json.loads(payload_raw)
    except json.JSONDecodeError as error:
        raise ApiError("SSE_INVALID_JSON", "Invalid SSE data frame", http_status=200) from error
    if not isinstance(payload, dict):
        raise ApiError("SSE_INVALID_FRAME", "SSE frame must be a JSON object", http_status=200)
    return payload


def classify_sse_payload(payload: dict[str, Any]) -> SseDispatchEvent:
    """Say what a frame is.

    Args:
        payload: Its data, as :func:`parse_sse_json_payload` gives it.

    Raises:
        ApiError: It says that an agent was approved, and has no passport.
    """
    kind, *texts = _native.parse_frame(json.dumps(payload))
    if kind == "approved":
        return SseDispatchEvent(SseFrameKind.APPROVED, texts[0], texts[1])
    if kind == "expired":
        return SseDispatchEvent(SseFrameKind.EXPIRED, texts[0])
    if kind == "error":
        return SseDispatchEvent(SseFrameKind.ERROR, error_code=texts[0], error_message=texts[1])
    if kind == "keepalive":
        return SseDispatchEvent(SseFrameKind.KEEPALIVE)
    if kind == "malformed" and payload.get("type") == "approved" and payload.get("login_request_id"):
        message = "approved event missing agent_passport_jwt"
        raise ApiError("SSE_APPROVED_INVALID", message, http_status=200)
    return SseDispatchEvent(SseFrameKind.IGNORE)


def iter_sse_data_payloads(buffer: str, chunk: str) -> tuple[str, list[str]]:
    """Take the data out of all lines that are complete.

    Args:
        buffer: What the last call left over.
        chunk: What has come in since.

    Returns:
        What is left over, and the data of each ``data:`` line that has any.
    """
    *lines, rest = (buffer + chunk).split("\n")
    data = (line.rstrip("\r")[5:].lstrip() for line in lines if line.startswith("data:"))
    return rest, [text for text in data if text]
