"""What the methods of :class:`~lime_agents.LimeAgent` give."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

# Not for type checkers only: pydantic and FastAPI look up what the fields' annotations name.
from typing import Any, Literal

from lime_sdk import _times


@dataclass(frozen=True, slots=True)
class ApprovalResult:
    """How a login was confirmed.

    Attributes:
        request_id: The login request.
        site_id: The site that created it.
        status: ``APPROVED`` or ``DELIVERED``.
        expires_at: When the request expires, with its time zone.
        approved_agent_id: The agent that approved it.
    """

    request_id: str
    site_id: str
    status: str
    expires_at: datetime
    approved_agent_id: str | None = None

    @classmethod
    def from_api(cls, data: dict[str, Any]) -> ApprovalResult:
        """Read the platform's ``data`` object.

        Args:
            data: The object, as the platform sends it.

        Raises:
            KeyError: A field is missing.
            ValueError: ``expires_at`` is no point in time.
        """
        return cls(
            request_id=str(data["request_id"]),
            site_id=str(data["site_id"]),
            status=str(data["status"]),
            expires_at=_times.parse(str(data["expires_at"])),
            approved_agent_id=(str(data["approved_agent_id"]) if data.get("approved_agent_id") else None),
        )


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """The agent as the platform knows it.

    Attributes:
        agent_id: The agent.
        owner_id: The LIME user who owns it.
        display_name: Its public name.
        avatar_url: Its picture.
        description: Its public description.
        owner_kyc_level: The owner's verification level; today's platform does not tell.
        agent_reputation: A score; today's platform does not tell.
    """

    agent_id: str
    owner_id: str
    display_name: str | None
    avatar_url: str | None
    description: str | None
    owner_kyc_level: int | None = None
    agent_reputation: int | None = None

    @property
    def user_id(self) -> str:
        """The owner by the name that today's platform has for it."""
        return self.owner_id

    @classmethod
    def from_api(cls, data: dict[str, Any]) -> AgentProfile:
        """Read the platform's ``data`` object; today's platform says ``user_id`` for the owner.

        Args:
            data: The object, as the platform sends it.

        Raises:
            KeyError: It does not name the agent and the owner.
        """
        owner_id = data.get("owner_id") or data.get("user_id")
        if owner_id is None:
            raise KeyError("owner_id")
        return cls(
            agent_id=str(data["agent_id"]),
            owner_id=str(owner_id),
            display_name=data.get("display_name"),
            avatar_url=data.get("avatar_url"),
            description=data.get("description"),
            owner_kyc_level=data.get("owner_kyc_level"),
            agent_reputation=data.get("agent_reputation"),
        )


@dataclass(frozen=True, slots=True)
class McpAccessToken:
    """A token for the MCP servers of one host name.

    Attributes:
        access_token: The JWT, for ``Authorization: Bearer ...``; ``repr`` does not show it.
        token_type: ``Bearer``.
        expires_in: Seconds that it lives from ``issued_at`` on.
        issued_at: When it was fetched, on the clock of :func:`time.monotonic`.
    """

    access_token: str = field(repr=False)
    token_type: Literal["Bearer"]
    expires_in: int
    issued_at: float


# One difference for the process: a token that is given twice is the same twice.
_MONOTONIC_BEHIND_UNIX = time.time() - time.monotonic()


def token_from_native(answer: tuple[str, int, float]) -> McpAccessToken:
    """Make the token of what the native side gives."""
    access_token, expires_in, issued_at = answer
    return McpAccessToken(access_token, "Bearer", expires_in, issued_at - _MONOTONIC_BEHIND_UNIX)
