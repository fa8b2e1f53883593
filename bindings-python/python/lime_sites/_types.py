"""What the methods of :class:`~lime_sites.LimeSite` give."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Not for type checkers only: pydantic and FastAPI look up what the fields' annotations name.
from typing import Any, Literal

from lime_sdk import _times


@dataclass(frozen=True, slots=True)
class LoginRequestResult:
    """A login request that was just created.

    Attributes:
        request_id: To be handed to the agent.
        status: ``PENDING``.
        expires_at: When it expires, with its time zone.
    """

    request_id: str
    status: str
    expires_at: datetime

    @classmethod
    def from_api(cls, data: dict[str, Any]) -> LoginRequestResult:
        """Read the platform's ``data`` object.

        Args:
            data: The object, as the platform sends it.

        Raises:
            KeyError: A field is missing.
            ValueError: ``expires_at`` is no point in time.
        """
        return cls(
            request_id=str(data["login_request_id"]),
            status=str(data["status"]),
            expires_at=_times.parse(str(data["expires_at"])),
        )


@dataclass(frozen=True, slots=True)
class LoginRequestStatus:
    """Where a login request stands.

    Attributes:
        request_id: The login request.
        status: ``PENDING``, ``APPROVED``, ``DELIVERED`` or ``EXPIRED``.
        expires_at: When it expires, where the platform says so.
    """

    request_id: str
    status: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class LoginResult:
    """An agent's passport for a login request, not verified yet.

    Attributes:
        request_id: The login request.
        agent_passport_jwt: The passport.
        redirect_url: Where to send the agent on, if the platform says so.
    """

    request_id: str
    agent_passport_jwt: str
    redirect_url: str | None = None

    @classmethod
    def from_sse(cls, data: dict[str, Any]) -> LoginResult:
        """Read the data of an ``approved`` event.

        Args:
            data: The object, as the platform sends it.

        Raises:
            KeyError: It does not name a login request.
            ValueError: There is no passport in it.
        """
        jwt = data.get("agent_passport_jwt")
        if not jwt or not str(jwt).strip():
            raise ValueError("approved event missing agent_passport_jwt")
        redirect = data.get("redirect_url")
        return cls(
            request_id=str(data["login_request_id"]),
            agent_passport_jwt=str(jwt),
            redirect_url=str(redirect) if redirect else None,
        )


@dataclass(frozen=True, slots=True)
class BindingRequestResult:
    """A binding that was just asked for.

    Attributes:
        binding_id: To be kept beside the person's session before their browser is sent on.
        connect_url: Where the browser is to be sent, as it is.
        status: ``PENDING``.
        expires_at: When it expires, with its time zone, unless the person has picked an agent.
    """

    binding_id: str
    connect_url: str
    status: str
    expires_at: datetime

    @classmethod
    def from_api(cls, data: dict[str, Any]) -> BindingRequestResult:
        """Read the platform's ``data`` object.

        Args:
            data: The object, as the platform sends it.

        Raises:
            KeyError: A field is missing.
            ValueError: ``expires_at`` is no point in time.
        """
        return cls(
            binding_id=str(data["binding_id"]),
            connect_url=str(data["connect_url"]),
            status=str(data["status"]),
            expires_at=_times.parse(str(data["expires_at"])),
        )


@dataclass(frozen=True, slots=True)
class PassportVerificationResult:
    """A verified passport.

    Attributes:
        valid: True; a passport that is not valid raises.
        claims: Its claims; ``sub`` is called ``agent_id``.
    """

    valid: bool
    claims: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """What is known about a site's event stream.

    Attributes:
        state: Where the connection stands. ``refused`` means that the platform does not take the
            token (401, 403); it is tried again slowly.
        last_error: What ended the last connection or attempt.
        connections: Connections that came about so far.
        events: Events handed on so far.
        malformed_frames: Frames that were not what the protocol allows, and were skipped.
    """

    state: Literal["idle", "connecting", "open", "backing_off", "refused", "closed"]
    last_error: Exception | None
    connections: int
    events: int
    malformed_frames: int
