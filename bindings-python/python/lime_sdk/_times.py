"""Points in time as the platform writes them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from lime_sdk import _native

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def from_native(stamp: tuple[int, int | None]) -> datetime:
    """Microseconds since the epoch and an offset in seconds (None: UTC) as an aware datetime."""
    micros, offset = stamp
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.astimezone(timezone(timedelta(seconds=offset))) if offset else moment


def parse(text: str) -> datetime:
    """Read ISO 8601 with ``Z`` or an offset; without either, UTC.

    Raises:
        ValueError: The text is no point in time.
    """
    from lime_sdk._errors import LimeError

    try:
        return from_native(_native.parse_timestamp(text))
    except LimeError as error:
        raise ValueError(f"{error.message}: {text!r}") from None
