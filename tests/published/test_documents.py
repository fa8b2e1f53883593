"""The programs in tests/seeds are those that the published packages' documents print."""

from __future__ import annotations

import re
import sys

import pytest
from conftest import ROOT
from test_surface import published

sys.path.insert(0, str(ROOT / "tests/seeds"))
from programs import blocks, documents


@pytest.mark.parametrize("document", documents())
def test_word_for_word(document: str) -> None:
    python = published("sesame" if document == "sesame-sdk" else "lime")
    (metadata,) = (python.parents[1] / "lib").glob(f"*/site-packages/{document.replace('-', '_')}-*/METADATA")
    printed = re.findall(r"^```python\n(.*?)^```$", metadata.read_text(), re.M | re.S)
    assert list(blocks(document).values()) == printed
