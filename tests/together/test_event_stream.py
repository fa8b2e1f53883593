"""The programs that follow a site's event stream. Those in C and C++ are run by their own tests."""

from __future__ import annotations

import sys

import pytest
from conftest import ROOT, Sandbox

sys.path.append(str(ROOT / "tests/c"))

import serving

PROGRAMS = {
    "python": [sys.executable, str(ROOT / "examples/event_stream/main.py")],
    "rust": [str(ROOT / "target/debug/examples/event_stream")],
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_an_event_stream_is_followed_through_a_cut(sandbox: Sandbox, language: str) -> None:
    serving.event_stream(PROGRAMS[language], sandbox)
