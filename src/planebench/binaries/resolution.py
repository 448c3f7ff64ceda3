"""Finds or builds the components that a run needs."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from planebench.binaries import build, component, toolchain
from planebench.binaries.artifact import Artifact, sha256_of
from planebench.binaries.cache import BinaryCache, default_dir
from planebench.binaries.component import ComponentSpec
from planebench.binaries.progress import BuildProgress, BuildStage, Forecast, ProgressListener, joined
from planebench.binaries.toolchain import Toolchain
from planebench.model import UsageError


def resolve(
    names: Sequence[str],
    *,
    overrides: Mapping[str, Path] | None = None,
    cache_dir: Path | None = None,
    on_progress: ProgressListener | None = None,
) -> dict[str, Artifact]:
    """Provides the named components: from ``overrides``, else from the cache, else built from source.

    ``cache_dir`` is ``$PLANEBENCH_CACHE`` or the user's cache folder where it is not given. An exception that
    ``on_progress`` raises ends the build: that is the way to cancel it from another thread.

    Raises UsageError for an unknown component or an override that cannot be run, ComponentError where no binary
    can be built or kept.
    """
    overrides = overrides or {}
    for name in overrides:
        component.spec(name)
    specs = _specs(names)
    found = {spec.name: _from_path(spec, overrides[spec.name]) for spec in specs if spec.name in overrides}
    cache = BinaryCache(cache_dir or default_dir())
    rest = [spec for spec in specs if spec.name not in found]
    toolchains = _toolchains(rest, cache)
    missing = []
    for spec, artifact in _find_all(rest, toolchains, cache).items():
        if artifact is None:
            missing.append(spec)
        else:
            found[spec.name] = artifact
    if missing:
        listener = on_progress or _ignore
        found |= _Build(missing, toolchains, cache, listener).run()
    return {name: found[name] for name in names}


def cached(names: Sequence[str], *, cache_dir: Path | None = None) -> dict[str, Artifact | None]:
    """What the cache holds of the named components, verified; None for what a run would have to build.

    Raises UsageError for an unknown component, ComponentError without a Go toolchain: its version is part of the
    key.
    """
    specs = _specs(names)
    cache = BinaryCache(cache_dir or default_dir())
    return {spec.name: artifact for spec, artifact in _find_all(specs, _toolchains(specs, cache), cache).items()}


def _specs(names: Iterable[str]) -> list[ComponentSpec]:
    """The named components in the catalogue's order, which keeps those of one graph together."""
    wanted = {component.spec(name) for name in names}
    return [spec for spec in component.catalog() if spec in wanted]


def _ignore(_: BuildProgress) -> None:
    pass


def _from_path(spec: ComponentSpec, path: Path) -> Artifact:
    path = path.expanduser().absolute()
    flag = f"--component {spec.name}={path}"
    if not path.is_file():
        raise UsageError(f"{flag}: no such file")
    if not os.access(path, os.X_OK):
        raise UsageError(f"{flag}: the file is not executable (chmod +x)")
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise UsageError(f"{flag}: {error.strerror}") from error
    return Artifact(
        name=spec.name,
        module=spec.module,
        version="unknown",
        package=spec.package,
        path=path,
        size_bytes=path.stat().st_size,
        sha256=digest,
        source="path",
    )


def _toolchains(specs: Iterable[ComponentSpec], cache: BinaryCache) -> dict[str, Toolchain]:
    """For each graph the toolchain that its ``go.mod`` selects."""
    folders = {spec.graph: spec.module_dir for spec in specs}
    return {graph: toolchain.find(folder, cache.root) for graph, folder in folders.items()}


def _find_all(
    specs: Sequence[ComponentSpec], toolchains: Mapping[str, Toolchain], cache: BinaryCache
) -> dict[ComponentSpec, Artifact | None]:
    # Hashing leaves the interpreter's lock alone, so threads verify in parallel.
    with ThreadPoolExecutor() as pool:
        artifacts = pool.map(lambda spec: cache.find(spec, toolchains[spec.graph]), specs)
        return dict(zip(specs, artifacts, strict=True))


@dataclass(slots=True)
class _GraphPlan:
    """What is left to do for the components of one graph."""

    graph: str
    specs: list[ComponentSpec]
    to_compile: dict[str, float]
    """Work by import path; emptied as compilations begin."""
    to_link: dict[ComponentSpec, float]
    """Work by component; emptied as binaries appear."""

    @property
    def steps(self) -> int:
        return len(self.to_compile) + len(self.to_link)

    @property
    def work(self) -> float:
        return sum(self.to_compile.values()) + sum(self.to_link.values())


# Fitted to the times of a cold build of everything: on two cores 0.7 s per MB of source, 0.27 ms per dependency
# (the compiler reads what each one exports), 2 to 6 s per link.
_DEPENDENCY_WORK = 370.0
"""What compiling a package costs for each package it depends on, in bytes of its own source."""
_LINK_SHARE = 0.1
"""A link's cost as a share of the graph's source."""


class _Build:
    """One build of all that is missing, graph after graph."""

    def __init__(
        self,
        missing: Sequence[ComponentSpec],
        toolchains: Mapping[str, Toolchain],
        cache: BinaryCache,
        listener: ProgressListener,
    ) -> None:
        self._missing = missing
        self._toolchains = toolchains
        self._cache = cache
        self._listener = listener
        self._done = 0
        self._total = 0
        self._forecast = Forecast(0.0, started_s=time.monotonic())

    def run(self) -> dict[str, Artifact]:
        plans = self._plan()
        self._total = sum(plan.steps for plan in plans)
        self._forecast = Forecast(sum(plan.work for plan in plans), started_s=time.monotonic())
        artifacts = {}
        for plan in plans:
            for artifact in self._build_graph(plan):
                artifacts[artifact.name] = artifact
        return artifacts

    def _plan(self) -> list[_GraphPlan]:
        plans = []
        earlier: set[tuple[str, str]] = set()
        for graph, group in itertools.groupby(self._missing, key=lambda spec: spec.graph):
            specs = list(group)
            packages = self._list_packages(specs)
            to_compile = {
                package.import_path: package.source_bytes + _DEPENDENCY_WORK * package.dependencies
                for package in packages
                if not package.is_cached
                and not package.is_main
                # What an earlier graph has compiled, such as the standard library, serves this one too.
                and (package.import_path, package.version) not in earlier
            }
            earlier.update((package.import_path, package.version) for package in packages)
            link_work = _LINK_SHARE * sum(package.source_bytes for package in packages)
            plans.append(_GraphPlan(graph, specs, to_compile, dict.fromkeys(specs, link_work)))
        return plans

    def _list_packages(self, specs: Sequence[ComponentSpec]) -> list[build.Package]:
        chosen = self._toolchains[specs[0].graph]
        total = build.missing_modules(specs[0].module_dir, chosen.module_cache)
        begun = 0

        def report() -> None:
            self._tell(specs, "download", max(begun - 1, 0), total)

        def count() -> None:
            nonlocal begun
            begun += 1

        report()
        return build.list_packages(specs, chosen, on_download=count, on_tick=report)

    def _build_graph(self, plan: _GraphPlan) -> list[Artifact]:
        chosen = self._toolchains[plan.graph]

        def waiting() -> None:
            self._tell(plan.specs, "wait", self._done, self._total)

        with self._cache.building(plan.graph, waiting) as work_dir:
            # Another process may have built them since.
            present = {spec: self._cache.find(spec, chosen) for spec in plan.specs}
            specs = [spec for spec, artifact in present.items() if artifact is None]
            if specs:
                binaries = self._go_build(plan, specs, chosen, work_dir)
                for spec in specs:
                    present[spec] = self._cache.add(spec, chosen, binaries[spec.name], work_dir)
        self._done += plan.steps
        self._forecast.skip(plan.work)
        return [artifact for artifact in present.values() if artifact is not None]

    def _go_build(
        self, plan: _GraphPlan, specs: Sequence[ComponentSpec], chosen: Toolchain, work_dir: Path
    ) -> dict[str, Path]:
        def compiling(import_path: str) -> None:
            self._advance(plan.to_compile.pop(import_path, None))

        def tick() -> None:
            for spec in [spec for spec in plan.to_link if build.linked_path(spec, work_dir).exists()]:
                self._advance(plan.to_link.pop(spec))
            unlinked = [spec for spec in specs if spec in plan.to_link]
            self._tell(unlinked or specs, "compile" if plan.to_compile else "link", self._done, self._total)

        return build.build(specs, chosen, work_dir, on_compile=compiling, on_tick=tick)

    def _advance(self, work: float | None) -> None:
        if work is not None:
            self._done += 1
            self._forecast.advance(work, now_s=time.monotonic())

    def _tell(self, specs: Sequence[ComponentSpec], stage: BuildStage, done: int, total: int) -> None:
        eta_s = self._forecast.left_s(now_s=time.monotonic())
        names = joined(spec.name for spec in specs)
        self._listener(BuildProgress(names, specs[0].graph, done, total, eta_s, stage))
