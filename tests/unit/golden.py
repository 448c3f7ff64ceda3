"""Golden files: outputs as they are meant to be, see golden/README.md."""

from __future__ import annotations

import os
from pathlib import Path

RENEW = "RENEW_GOLDENS"
_FOLDER = Path(__file__).parent / "golden"


def assert_golden(name: str, found: str) -> None:
    """``found`` is what the golden file holds; with RENEW_GOLDENS=1 in the environment it becomes that.

    Blanks at the ends of lines do not count.
    """
    path = _FOLDER / name
    text = "\n".join(line.rstrip() for line in found.splitlines()) + "\n"
    if os.environ.get(RENEW):
        path.write_text(text, encoding="utf-8")
    wanted = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == wanted, f"golden/{name} differs; see golden/README.md for how to renew it"
