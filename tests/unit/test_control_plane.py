"""A control plane for programs: what is wrong is told before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planebench.binaries import Sources
from planebench.control_plane import ControlPlane
from planebench.model import ComponentError, PlanebenchError, UsageError


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"versions": {"kubernetes": "1.35"}}, UsageError, "version of kubernetes: expected a whole version"),
        ({"versions": {"kubernetes": "1.20.0"}}, UsageError, "1.20.0 is too old"),
        ({"versions": {"nothing": "1.0.0"}}, UsageError, "no project is called 'nothing'"),
        (
            {"versions": {"kubevirt": "1.7.0"}, "plane": "kubevirt"},
            UsageError,
            r"of kubevirt 1\.7\.0 .* of 1\.8\.2, 1\.8\.4",
        ),
        ({"sources": Sources(["cache"])}, ComponentError, "cannot be had from the allowed sources"),
        ({"components": {"etcd": Path("none")}}, UsageError, "none: no such file"),
        ({"flags": {"etcd": {"a": "b"}}, "settings": {"x": 1}}, UsageError, "has no setting 'x'"),
    ],
)
async def test_what_is_wrong(
    options: dict[str, Any],
    error: type[PlanebenchError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLANEBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cluster"
    with pytest.raises(error, match=message):
        async with ControlPlane.local(folder=folder, **options):
            pass
    assert not folder.exists()
