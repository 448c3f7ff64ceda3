"""Finds, pulls or builds the components that a run needs."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from planebench.binaries import build, component, image, toolchain, tree, wrapper
from planebench.binaries.artifact import Artifact, sha256_of
from planebench.binaries.cache import BinaryCache, default_dir
from planebench.binaries.component import ComponentSpec
from planebench.binaries.progress import BuildProgress, BuildStage, Forecast, ProgressListener, joined
from planebench.binaries.registry import ImageUnavailableError, Registry
from planebench.binaries.sources import Sources
from planebench.binaries.toolchain import Toolchain
from planebench.model import ComponentError, UsageError

_MIB = 2**20
_ASKED_S = 5.0

NoteListener = Callable[[str], None]
"""Told, in a line, why a source was passed over."""


def resolve(
    names: Sequence[str],
    *,
    overrides: Mapping[str, Path] | None = None,
    own: Mapping[str, Path] | None = None,
    versions: Mapping[str, str] | None = None,
    sources: Sources | None = None,
    cache_dir: Path | None = None,
    on_progress: ProgressListener | None = None,
    on_note: NoteListener | None = None,
) -> dict[str, Artifact]:
    """Provides the named components: from ``overrides``, the cache, official images, or a build, in this order.

    Args:
        overrides: component -> a binary of one's own.
        own: components that the catalogue does not have -> where their binaries are.
        versions: graph (``kubernetes``, ``etcd``, ``kwok``, ...) -> version; else the pinned one.
        sources: which of the sources may be asked; None: all.
        cache_dir: None: ``$PLANEBENCH_CACHE`` or the user's cache folder.
        on_progress: an exception that it raises ends the build: the way to cancel it from another thread.
        on_note: told why an image was not taken.

    Raises:
        UsageError: an unknown component, an impossible version or source tree, an override that cannot be run.
        ComponentError: no source has the binary, it is damaged, or it cannot be kept.
    """
    overrides, own, sources = overrides or {}, own or {}, sources or Sources()
    for name in overrides.keys() - own.keys():
        component.spec(name)
    cache = BinaryCache(cache_dir or default_dir())
    specs = _specs([name for name in names if name not in own], versions or {}, sources, cache)
    found = {
        name: _from_path(name, overrides[name]) if name in overrides else _from_path(name, path, "binaries.")
        for name, path in own.items()
        if name in names
    }
    found |= {
        spec.name: replace(_from_path(spec.name, overrides[spec.name]), module=spec.module, package=spec.package)
        for spec in specs
        if spec.name in overrides
    }
    rest = [spec for spec in specs if spec.name not in found]
    listener, note = on_progress or _ignore, on_note or _ignore
    toolchains = _toolchains(rest, cache)
    missing = []
    for spec, artifact in _find_all(rest, toolchains, cache, sources).items():
        if artifact is None:
            missing.append(spec)
        else:
            found[spec.name] = artifact
    reasons: dict[str, str] = {}
    if missing and sources.permits("image"):
        pulled, reasons = _Pull(missing, cache, sources, listener).run(demanded=not sources.permits("go"))
        for reason in dict.fromkeys(reasons.values()):
            note(f"no official image, so it is built: {reason}")
        found |= pulled
        missing = [spec for spec in missing if spec.name not in pulled]
    if missing:
        if not sources.permits("go"):
            raise _forbidden(missing[0], sources, reasons)
        for spec in missing:
            reasons.setdefault(spec.name, _why_built(spec, sources))
        for spec in missing:
            _generate(spec, cache, listener)
        toolchains = _toolchains(missing, cache)
        for built in _Build(missing, _demanded(toolchains), cache, listener).run().values():
            found[built.name] = replace(built, reason=built.reason or f"not in the cache; {reasons[built.name]}")
    return {name: found[name] for name in names}


def cached(
    names: Sequence[str],
    *,
    versions: Mapping[str, str] | None = None,
    sources: Sources | None = None,
    cache_dir: Path | None = None,
) -> dict[str, Artifact | None]:
    """What the cache holds of the named components, verified; None for what a run would have to pull or build.

    Raises UsageError for an unknown component or version.
    """
    cache, sources = BinaryCache(cache_dir or default_dir()), sources or Sources()
    specs = _specs(names, versions or {}, sources, cache)
    found = _find_all(specs, _toolchains(specs, cache), cache, sources)
    return {spec.name: artifact for spec, artifact in found.items()}


def _specs(
    names: Iterable[str], versions: Mapping[str, str], sources: Sources, cache: BinaryCache
) -> list[ComponentSpec]:
    """The named components in the catalogue's order, which keeps those of one graph together."""
    wanted = {component.spec(name) for name in names}
    chosen = component.wanted_versions(versions)
    trees = {component.graph(name).name: (name, folder) for name, folder in sources.trees.items()}
    if both := sorted(chosen.keys() & trees.keys()):
        raise UsageError(f"{both[0]}: a version and a source tree exclude each other")
    read: dict[str, tuple[Path, str]] = {}
    specs = []
    for spec in component.catalog():
        if spec not in wanted:
            continue
        if spec.graph in trees:
            if spec.graph not in read:
                name, folder = trees[spec.graph]
                root = tree.find(folder, component.graph(name), f"--component-source {name}={folder}")
                read[spec.graph] = root, tree.version(spec, root)
            specs.append(spec.of_tree(*read[spec.graph], cache.modules))
        else:
            specs.append(spec.at(chosen.get(spec.graph, spec.version), cache.modules))
    return specs


def _ignore(_: object) -> None:
    pass


def _from_path(name: str, path: Path, origin: str = "--component ") -> Artifact:
    path = path.expanduser().absolute()
    flag = f"{origin}{name}={path}"
    if not path.is_file():
        raise UsageError(f"{flag}: no such file")
    if not os.access(path, os.X_OK):
        raise UsageError(f"{flag}: the file is not executable (chmod +x)")
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise UsageError(f"{flag}: {error.strerror}") from error
    return Artifact(
        name=name,
        module="",
        version=_told_version(path),
        package="",
        path=path,
        size_bytes=path.stat().st_size,
        sha256=digest,
        source="path",
        reason="given by its path",
    )


def _told_version(binary: Path) -> str:
    """What a binary says of itself; it decides which flags it is given."""
    try:
        answer = subprocess.run(
            [binary, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASKED_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    found = re.search(rb"\bv?(\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)", answer.stdout)
    return f"v{found[1].decode()}" if found else "unknown"


def _toolchains(specs: Iterable[ComponentSpec], cache: BinaryCache) -> dict[str, Toolchain | ComponentError]:
    """For each graph the toolchain that its ``go.mod`` selects, or why there is none.

    A module that is not generated yet has none either: nothing can have been built with it.
    """
    found: dict[str, Toolchain | ComponentError] = {}
    for graph, folder in {spec.graph: spec.module_dir for spec in specs if spec.module_dir.is_dir()}.items():
        try:
            found[graph] = toolchain.find(folder, cache.root)
        except ComponentError as error:
            found[graph] = error
    return found


def _demanded(toolchains: Mapping[str, Toolchain | ComponentError]) -> dict[str, Toolchain]:
    usable = {}
    for graph, chosen in toolchains.items():
        if isinstance(chosen, ComponentError):
            raise chosen
        usable[graph] = chosen
    return usable


def _find_all(
    specs: Sequence[ComponentSpec],
    toolchains: Mapping[str, Toolchain | ComponentError],
    cache: BinaryCache,
    sources: Sources,
) -> dict[ComponentSpec, Artifact | None]:
    def find(spec: ComponentSpec) -> Artifact | None:
        chosen = toolchains.get(spec.graph)
        return cache.find(spec, chosen if isinstance(chosen, Toolchain) else None, sources.kept)

    # Hashing leaves the interpreter's lock alone, so threads verify in parallel.
    with ThreadPoolExecutor() as pool:
        return dict(zip(specs, pool.map(find, specs), strict=True))


def _why_built(spec: ComponentSpec, sources: Sources) -> str:
    if spec.tree is not None:
        return f"built from {spec.tree}"
    return "other sources are forbidden" if not sources.permits("image") else "there is no official image"


def _forbidden(spec: ComponentSpec, sources: Sources, reasons: Mapping[str, str]) -> ComponentError:
    allowed = ", ".join(sources.allowed)
    detail = f": {reasons[spec.name]}" if spec.name in reasons else ""
    return ComponentError(
        f"{spec.name} {spec.version} cannot be had from the allowed sources ({allowed}){detail}; allow others "
        f"with --source, take it in with `planebench components import`, or give --component {spec.name}=PATH",
        component=spec.name,
    )


def _generate(spec: ComponentSpec, cache: BinaryCache, listener: ProgressListener) -> None:
    """The Go module of a version that is not pinned."""
    if spec.module_dir.is_dir():
        return
    begun = 0

    def report() -> None:
        listener(BuildProgress(spec.name, spec.graph, max(begun - 1, 0), 0, None, "download"))

    def count() -> None:
        nonlocal begun
        begun += 1

    report()
    wrapper.generate(spec, cache, on_download=count, on_tick=report)


class _Pull:
    """Takes what is missing out of official images, one after the other."""

    def __init__(
        self, missing: Sequence[ComponentSpec], cache: BinaryCache, sources: Sources, listener: ProgressListener
    ) -> None:
        self._missing = missing
        self._cache = cache
        self._listener = listener
        self._mirror = sources.mirror
        self._registries: dict[str, Registry] = {}

    def run(self, *, demanded: bool) -> tuple[dict[str, Artifact], dict[str, str]]:
        """What could be had; and for the rest why not. Raises ComponentError for damaged images, and where it is
        ``demanded`` for unavailable ones too."""
        pulled: dict[str, Artifact] = {}
        reasons: dict[str, str] = {}
        for spec in self._missing:
            if spec.image is None:
                continue
            try:
                pulled[spec.name] = self._pull(spec)
            except ImageUnavailableError as error:
                if demanded:
                    raise ComponentError(
                        f"{error}; allow other sources with --source, choose a mirror with --registry, "
                        f"or give --component {spec.name}=PATH",
                        component=spec.name,
                    ) from None
                reasons[spec.name] = str(error)
        return pulled, reasons

    def _pull(self, spec: ComponentSpec) -> Artifact:
        registry = self._registry(spec)
        registry.demand_reachable()

        def tell(stage: BuildStage, done: int, total: int) -> None:
            self._listener(BuildProgress(spec.name, spec.graph, done // _MIB, total // _MIB, None, stage))

        with self._cache.building(spec.graph, lambda: tell("wait", 0, 0)) as work_dir:
            with self._cache.explained():
                binary = image.pull(spec, registry, work_dir, lambda done, total: tell("pull", done, total))
            kept = self._cache.add_pulled(spec, binary.image, binary.path, work_dir)
        return replace(kept, reason=f"not in the cache; official image {binary.image}")

    def _registry(self, spec: ComponentSpec) -> Registry:
        address = self._mirror or component.graph(spec.graph).registry
        return self._registries.setdefault(address, Registry(address))


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
            present = {spec: self._cache.find(spec, chosen, ("go",)) for spec in plan.specs}
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
