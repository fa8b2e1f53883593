"""The task of a site's handlers, where Python's own cannot say why it is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any


class Cancelling(asyncio.Task[None]):
    """Counts the requests to end it, as every task does from Python 3.11 on."""

    _requests = 0

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask it to end."""
        accepted = super().cancel(msg)
        self._requests += accepted
        return accepted

    def cancelling(self) -> int:
        """How often it was asked to."""
        return self._requests
