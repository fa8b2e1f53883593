"""What the functions given as ``on_progress=`` are called with, and when."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from types import CoroutineType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from lime_sdk import _native

# Seconds between two reports; calls look up more often than that.
_INTERVAL = 0.2


@dataclass(frozen=True, slots=True)
class LoginProgress:
    """How far a login has come.

    Attributes:
        stage: ``challenge``: the platform is asked for it; ``pow``: the proof of work is searched for;
            ``approve``: the approval is sent; ``done``: the last report, of a login that succeeded.
        hashes: Hashes tried so far. It begins at 0 again if a second digest has to be tried.
        expected: Hashes that it takes on average, ``2**difficulty``; it may well take three times as
            many. ``None`` as long as the challenge is not there.
        elapsed: Seconds since the login began.
        left: Seconds that the search may still take of ``pow_timeout``.
    """

    stage: Literal["challenge", "pow", "approve", "done"]
    hashes: int
    expected: int | None
    elapsed: float
    left: float


@dataclass(frozen=True, slots=True)
class WaitProgress:
    """How long something has been waited for.

    Attributes:
        elapsed: Seconds waited so far.
        left: Seconds until the wait gives up; ``None`` if it never does.
    """

    elapsed: float
    left: float | None


def _refuse_coroutine(result: object) -> None:
    # The first report is made at the call: it fails there, before anything is sent.
    if isinstance(result, CoroutineType):
        result.close()
        raise TypeError("on_progress must be a plain function: nobody would await a coroutine function")


class LoginReporter:
    """Tells a function how far a login has come: at once, five times a second, and at the end."""

    def __init__(self, tell: Callable[[LoginProgress], object], native: _native.Progress) -> None:
        self._tell = tell
        self._native = native
        self._told = time.monotonic()
        self._now(None)

    def __call__(self) -> None:
        """Report, if the last report is some time ago."""
        if (now := time.monotonic()) - self._told >= _INTERVAL:
            self._told = now
            self._now(None)

    def done(self) -> None:
        """Report that the login has succeeded."""
        self._now("done")

    def _now(self, stage: Literal["done"] | None) -> None:
        current, hashes, difficulty, elapsed, left = self._native.read()
        # No difficulty that a search can meet is outside of this.
        expected = None if difficulty is None else 2 ** min(max(difficulty, 0), 256)
        _refuse_coroutine(self._tell(LoginProgress(stage or current, hashes, expected, elapsed, left)))


class WaitReporter:
    """Tells a function how long something has been waited for: at once, and five times a second."""

    def __init__(self, tell: Callable[[WaitProgress], object], timeout: float) -> None:
        self._tell = tell
        self._timeout = timeout
        self._began = self._told = time.monotonic()
        self._now(0.0)

    def __call__(self) -> None:
        """Report, if the last report is some time ago."""
        if (now := time.monotonic()) - self._told >= _INTERVAL:
            self._told = now
            self._now(now - self._began)

    def _now(self, elapsed: float) -> None:
        left = None if self._timeout == math.inf else max(0.0, self._timeout - elapsed)
        _refuse_coroutine(self._tell(WaitProgress(elapsed, left)))
