"""How options' values are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from planebench.cli.options import component_paths, pairs, seconds
from planebench.model import UsageError


def test_pairs() -> None:
    assert pairs(["a.b=1", "c=x=y"], "--set") == {"a.b": "1", "c": "x=y"}
    assert pairs(None, "--set") == {}


@pytest.mark.parametrize("values", [["novalue"], ["=1"], ["a=1", "a=2"]])
def test_pairs_that_are_none_name_their_flag(values: list[str]) -> None:
    with pytest.raises(UsageError, match="--set "):
        pairs(values, "--set")


def test_component_paths() -> None:
    assert component_paths(["etcd=/bin/etcd"]) == {"etcd": Path("/bin/etcd")}


def test_seconds() -> None:
    assert seconds("10m", "--timeout") == 600
    assert seconds(None, "--timeout") is None
    with pytest.raises(UsageError, match="--timeout soon"):
        seconds("soon", "--timeout")
