"""What ``planebench.run`` offers, and what a start of a cluster does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

from planebench import run as runs


def test_every_name_is_there_once_it_is_asked_for() -> None:
    assert sorted(runs._MODULES) == sorted(runs.__all__)
    for name in runs.__all__:
        assert getattr(runs, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'anything'"):
        runs.anything  # noqa: B018 (it raises)


@pytest.mark.parametrize("code", ["import planebench.cluster.keeper", "from planebench.run import kept"])
def test_a_start_does_not_load_what_analyses_runs(code: str) -> None:
    more = f"{code}; import sys; print(*{{'polars', 'planebench.slis', 'planebench.results'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", more], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_run_loads_what_analyses_it_afterwards() -> None:
    """It is measured meanwhile, and shares the machine with what it measures."""
    code = "from planebench.cli import main; import sys; sys.argv[1:] = ['run', 'smoke', '--dry-run']\n"
    code += "try: main()\nfinally: print(*{'polars', 'scipy', 'bokeh'} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout and done.stderr.split() == []
