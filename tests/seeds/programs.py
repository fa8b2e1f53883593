"""The programs of the seed documents, and what they need around them to be programs."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent

# What a document takes for granted, by the title of the section.
PRELUDES = {
    "Constructor": "from lime_agents import LimeAgent\n",
    "async get_profile() -> AgentProfile": "from lime_agents import LimeAgent\n",
    "Retries and timeouts": "from lime_agents import LimeAgent\n",
    "Gate a function with @require_approval": textwrap.dedent(
        """\
        import logging
        from typing import Any

        stripe: Any = None
        log = logging.getLogger("shop")
        """
    ),
    "Trigger and wait explicitly": "def run_deletion() -> None: ...\n",
    "Flask": "import os\ndef handle_decision(approval_id: str, status: str) -> None: ...\n",
    "FastAPI": "WEBHOOK_SECRET = 'whsec'\ndef handle_decision(approval_id: str, status: str) -> None: ...\n",
}


def blocks(document: str) -> dict[str, str]:
    """The programs of a document, by the title of their section."""
    text = (HERE / f"{document}.md").read_text()
    return dict(re.findall(r"^## ([^\n]*)\n\n```python\n(.*?)^```", text, re.M | re.S))


def documents() -> list[str]:
    """The documents."""
    return sorted(path.stem for path in HERE.glob("*.md"))


def awaits(code: str) -> bool:
    """Whether it awaits outside of any function, as no module can."""
    try:
        compile(code, "document", "exec")
    except SyntaxError:
        compile(code, "document", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return True
    return False


def module(title: str, code: str) -> str:
    """The program as a module of its own, for type checkers."""
    prelude = PRELUDES.get(title, "")
    if awaits(code):
        imports = [line for line in code.splitlines() if line.startswith(("import ", "from "))]
        rest = "\n".join(line for line in code.splitlines() if line not in imports)
        code = "\n".join([*imports, "async def of_the_document() -> None:", textwrap.indent(rest, "    ")])
    return f"{prelude}{code}"


def main() -> None:
    """Write all programs as modules into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    for document in documents():
        for number, (title, code) in enumerate(blocks(document).items()):
            name = re.sub(r"\W+", "_", f"{document} {number} {title}").strip("_").lower()
            (folder / f"{name}.py").write_text(module(title, code))


if __name__ == "__main__":
    main()
