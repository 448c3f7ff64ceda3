"""The run's profiles: what each component's packages cost, and stacks for a flame graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from planebench import profiles
from planebench.model import PlanebenchError
from planebench.profiles import ProfileError
from planebench.results.attribution import PackageCost, ProfileResult
from planebench.results.folder import RunFolder, read_json

_VALUE: Final = {"cpu": "cpu", "heap": "inuse_space"}
"""Kind -> the sample type that is told."""
_SCALE: Final = {"cpu": 1e-9, "heap": 1.0}
_MOST_PACKAGES: Final = 15


def profile_results(folder: RunFolder) -> tuple[ProfileResult, ...]:
    """All profiles of a run, by process; empty where none were taken.

    Raises:
        PlanebenchError: their index is damaged; names it.
    """
    return tuple(sorted(_results(folder), key=lambda item: (item.process, item.kind)))


def flame(folder: RunFolder, process: str, kind: str = "cpu") -> list[str]:
    """A profile's stacks, folded: ``outer;inner VALUE``, in nanoseconds of CPU or bytes in use.

    Raises:
        PlanebenchError: there is no such profile, or it is damaged; names it.
    """
    path = folder.profiles / f"{process}.{kind}.pb.gz"
    try:
        return profiles.folded(profiles.decode(path.read_bytes()), _VALUE[kind])
    except OSError as error:
        raise PlanebenchError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ProfileError as error:
        raise PlanebenchError(f"{path}: {error}") from None


def _results(folder: RunFolder) -> Iterator[ProfileResult]:
    index = folder.profiles / "index.json"
    if not index.exists():
        return
    for entry in read_json(index, list):
        try:
            yield _result(entry, folder.profiles)
        except (KeyError, TypeError, ValueError) as error:
            raise PlanebenchError(f"{index}: is damaged: {type(error).__name__}: {error}") from None


def _result(entry: dict[str, Any], folder: Path) -> ProfileResult:
    kind = entry["kind"]
    found = ProfileResult(
        process=entry["process"],
        component=entry["component"],
        kind=kind,
        file=f"profiles/{entry['file']}",
        start_s=entry["start_ns"] / 1e9,
        duration_s=0.0,
        error=entry["error"],
    )
    if found.error is not None:
        return found
    try:
        profile = profiles.decode((folder / entry["file"]).read_bytes())
    except (OSError, ProfileError) as error:
        return found.model_copy(update={"error": str(error)})
    column = profile.column(_VALUE[kind])
    shares = profiles.by_package(profile, _VALUE[kind])
    return found.model_copy(
        update={
            "duration_s": round(profile.duration_ns / 1e9, 3),
            "total": round(sum(values[column] for values in profile.values) * _SCALE[kind], 6),
            "gc_share": round(profiles.gc_share(profile), 4) if kind == "cpu" else None,
            "packages": tuple(
                PackageCost(
                    package=share.package,
                    charged=round(share.charged, 4),
                    flat=round(share.flat, 4),
                    cumulative=round(share.cumulative, 4),
                )
                for share in shares[:_MOST_PACKAGES]
            ),
        }
    )
