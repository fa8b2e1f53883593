"""What the broker sends, as pydantic models where pydantic is installed and dataclasses where it is not.

Nothing else of the package needs this module, so that pydantic is imported only when one of the models is.
"""

from __future__ import annotations

from datetime import datetime

from sesame_sdk.approval import TERMINAL_STATUSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self

try:
    from pydantic import BaseModel, ConfigDict
except ImportError:
    from dataclasses import asdict, dataclass, fields

    class _Model:
        """The part of pydantic's models that programs use on these."""

        @classmethod
        def model_validate(cls, obj: dict[str, Any]) -> Self:
            """Make the model from the broker's object; what it does not know is ignored."""
            known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
            return cls(**{name: value for name, value in obj.items() if name in known})

        def model_dump(self) -> dict[str, Any]:
            """The fields as a dict."""
            return asdict(self)  # type: ignore[call-overload, no-any-return]

    def _time(value: datetime | str | None) -> datetime | None:
        if not isinstance(value, str):
            return value
        from lime_sdk import _times

        return _times.parse(value)

    @dataclass(kw_only=True)
    class TriggerResponse(_Model):
        """Answer to POST /v1/approvals (202)."""

        approval_id: str
        status: str

    @dataclass(kw_only=True)
    class ApprovalState(_Model):
        """Answer to GET /v1/approvals/{id} (200)."""

        approval_id: str
        status: str
        expires_at: datetime | None = None

        def __post_init__(self) -> None:
            self.expires_at = _time(self.expires_at)

    @dataclass(kw_only=True)
    class WebhookPayload(_Model):
        """What the broker sends to a ``callback_url`` on every decision."""

        approval_id: str
        action: str
        status: str
        decided_at: datetime
        requester_label: str | None = None
        dedup_key: str | None = None

        def __post_init__(self) -> None:
            decided_at = _time(self.decided_at)
            if decided_at is None:
                raise ValueError("decided_at is not a point in time")
            self.decided_at = decided_at

else:
    from typing import ClassVar

    class TriggerResponse(BaseModel):  # type: ignore[no-redef]
        """Answer to POST /v1/approvals (202)."""

        model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

        approval_id: str
        status: str

    class ApprovalState(BaseModel):  # type: ignore[no-redef]
        """Answer to GET /v1/approvals/{id} (200)."""

        model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

        approval_id: str
        status: str
        expires_at: datetime | None = None

    class WebhookPayload(BaseModel):  # type: ignore[no-redef]
        """What the broker sends to a ``callback_url`` on every decision."""

        model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

        approval_id: str
        action: str
        status: str
        decided_at: datetime
        requester_label: str | None = None
        dedup_key: str | None = None


__all__ = ["TERMINAL_STATUSES", "ApprovalState", "TriggerResponse", "WebhookPayload"]
