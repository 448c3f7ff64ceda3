"""A hundred malformed scenarios: the command tells what is wrong, ends with the documented code, leaves nothing.

Those that are drawn and turn out to be sound are drawn again. ``--dry-run`` does all that comes before a start.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from planebench import scenario
from planebench.cli import main
from planebench.model import ExitCode

NAMES = ("kubevirt-migration", "resilience-ha", "scheduling-spread")
SOUND = {name: scenario.builtin_text(name) for name in NAMES}
VALUES: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(-1, 10) | st.floats() | st.text(max_size=10) | st.builds(list)
)
VALUES |= st.sampled_from(["10", "5s", "-5s", "1/s", "200%", "leader", "etcd", "../x", "a" * 300])

Field = tuple[str | int, ...]


def paths(value: object, at: Field = ()) -> list[Field]:
    """All fields and items of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [at] if at else []
    for key, item in inner:
        found += paths(item, (*at, key))
    return found


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A field that is gone, has another value, or one that nobody knows."""
    document: Any = yaml.safe_load(SOUND[draw(st.sampled_from(NAMES))])
    for _ in range(draw(st.integers(1, 3))):
        *outer, last = draw(st.sampled_from(paths(document)))
        inner = document
        for step in outer:
            inner = inner[step]
        match draw(st.sampled_from(["gone", "value", "unknown"])):
            case "gone":
                del inner[last]
            case "value":
                inner[last] = draw(VALUES)
            case _ if isinstance(inner, dict):
                inner[draw(st.text(min_size=1, max_size=8))] = draw(VALUES)
        assume(document)
    return yaml.safe_dump(document, allow_unicode=True).encode(errors="surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Cut off, or with noise in it."""
    content = SOUND[draw(st.sampled_from(NAMES))].encode()
    start = draw(st.integers(0, len(content)))
    return content[:start] + draw(st.binary(max_size=20)) + content[start + draw(st.integers(0, len(content))) :]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("malformed")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(changed() | damaged())
def test_a_malformed_scenario(folder: Path, content: bytes) -> None:
    file = folder / "scenario.yaml"
    file.write_bytes(content)
    said, complained = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["planebench", "run", str(file), "--dry-run"]),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assume(ended.value.code not in (0, None))
    told = complained.getvalue()
    assert ended.value.code == ExitCode.USAGE, told
    lines = [line for line in told.splitlines() if not line.startswith("warning: ")]
    assert lines[0].startswith("planebench: ") and "internal error" not in told and "Traceback" not in told, told
    assert sum(line.startswith("planebench: ") for line in lines) == 1, told
    assert list(folder.iterdir()) == [file], "nothing was made"
