"""Events handled: ``events.py SERVER``. The same program for the published package and for ours."""

from __future__ import annotations

import sys

import stream
import turns

listener = stream.Listener(sys.argv[1])
turns.serve(lambda count: listener.receive(count, f"burst?n={count}"))
