"""A real image registry on loopback: Debian's docker-registry, with images that skopeo pushes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "unit"))  # images

from image_registry import registry

__all__ = ["registry"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("registry")
