"""Runs ``go``: what a build needs, and the build itself, both with live progress."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from planebench.binaries.component import ComponentSpec
from planebench.binaries.progress import joined
from planebench.binaries.toolchain import Toolchain
from planebench.model import ComponentError

BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
"""Reproducible, and the same whether or not the module folder lies in a repository; without the debug information
that the linker would strip: a tenth of the time and a fifth of the build cache (kwok, two builds each on 2 cores:
83 and 82 s against 71 and 76 s, 795 against 629 MB)."""
_STRIP = "-s -w"

_TICK_S = 0.5
_INTERRUPT_GRACE_S = 5.0
_LOG_TAIL_LINES = 20


@dataclass(frozen=True, slots=True)
class Package:
    """A package that a component is made of."""

    import_path: str
    version: str
    """Its module's version; empty for the standard library."""
    is_main: bool
    is_cached: bool
    """Whether Go's build cache holds it compiled, so that a build passes over it."""
    dependencies: int
    """How many packages it imports, directly or not."""
    source_bytes: int


def linker_flags(spec: ComponentSpec) -> str:
    """The value of ``-ldflags``: stripped, with the version stamped in."""
    return f"{_STRIP} {spec.version_flags}".rstrip()


def missing_modules(module_dir: Path, module_cache: Path) -> int:
    """How many modules a build may have to download: an upper bound, since some serve other platforms."""
    sums = (module_dir / "go.sum").read_text(encoding="utf-8").splitlines()
    pinned = [line.split()[:2] for line in sums]
    return sum(
        not (module_cache / f"{_escaped(path)}@{_escaped(version)}").is_dir()
        for path, version in pinned
        if not version.endswith("/go.mod")
    )


def _escaped(path: str) -> str:
    """A module path as the module cache spells it: ``!`` and the small letter for a capital one."""
    return "".join(f"!{letter.lower()}" if letter.isupper() else letter for letter in path)


_PACKAGE_LINE = "\t".join(
    (
        "{{.ImportPath}}",
        "{{with .Module}}{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}{{end}}",
        "{{.Name}}",
        "{{.StaleReason}}",
        "{{len .Deps}}",
        "{{.Dir}}",
        '{{join .GoFiles "\t"}}',
    )
)


def list_packages(
    specs: Sequence[ComponentSpec],
    toolchain: Toolchain,
    *,
    on_download: Callable[[], None],
    on_tick: Callable[[], None],
) -> list[Package]:
    """All packages that the components of one graph are made of; downloads their modules.

    ``on_download`` is called for each module whose download begins. Raises ComponentError.
    """

    def on_line(line: str) -> None:
        if line.startswith("go: downloading "):
            on_download()

    argv = ["list", "-deps", *BUILD_FLAGS, "-f", _PACKAGE_LINE, *(spec.package for spec in specs)]
    output = run_go(argv, specs, toolchain, on_line=on_line, on_tick=on_tick)
    return [_package(line) for line in output.splitlines()]


def _package(line: str) -> Package:
    import_path, version, name, stale_reason, dependencies, folder, *files = line.split("\t")
    return Package(
        import_path=import_path,
        version=version,
        is_main=name == "main",
        # Go's words for "compiled, in the build cache"; it gives no reason at all for what is up to date.
        is_cached=not stale_reason or stale_reason.startswith("not installed but available in build cache"),
        dependencies=int(dependencies),
        source_bytes=sum((Path(folder) / file).stat().st_size for file in files if file),
    )


def build(
    specs: Sequence[ComponentSpec],
    toolchain: Toolchain,
    work_dir: Path,
    *,
    on_compile: Callable[[str], None],
    on_tick: Callable[[], None],
) -> dict[str, Path]:
    """Builds components of one graph together; returns each one's binary, in ``work_dir``.

    ``on_compile`` is called with the import path of each package whose compilation begins; a binary that is linked
    appears as :func:`linked_path`. Raises ComponentError.
    """
    out_dir = work_dir / "out"
    out_dir.mkdir()
    argv = ["build", "-v", *BUILD_FLAGS, "-ldflags", linker_flags(specs[0]), "-o", f"{out_dir}{os.sep}"]
    argv += [spec.package for spec in specs]
    run_go(argv, specs, toolchain, on_line=on_compile, on_tick=on_tick, temporary_dir=work_dir)
    return {spec.name: linked_path(spec, work_dir) for spec in specs}


def linked_path(spec: ComponentSpec, work_dir: Path) -> Path:
    """Where a build in ``work_dir`` puts the component's binary."""
    return work_dir / "out" / _binary_name(spec.package)


def _binary_name(package: str) -> str:
    """The name that ``go build`` gives a main package's binary: the last path element that is no major version."""
    *parents, last = package.split("/")
    return parents[-1] if last[:1] == "v" and last[1:].isdigit() else last


def run_go(
    argv: Sequence[str],
    specs: Sequence[ComponentSpec],
    toolchain: Toolchain,
    *,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
    folder: Path | None = None,
    temporary_dir: Path | None = None,
) -> str:
    """Runs ``go`` in ``folder``, else in the module's, and returns its output.

    Whatever the callbacks raise ends it with all its children. Raises ComponentError with its last words.
    """
    environment = dict(toolchain.environment)
    if temporary_dir is not None:
        environment.setdefault("GOTMPDIR", str(temporary_dir))
    tail: list[str] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            [toolchain.go, *argv],
            cwd=folder or specs[0].module_dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that it can be ended with its compilers
        )
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read_lines, args=(cast(IO[str], process.stderr), lines), daemon=True)
        reader.start()
        try:
            finished = False
            while not finished:
                try:
                    line = lines.get(timeout=_TICK_S)
                except queue.Empty:
                    pass
                else:
                    finished = line is None
                    if line is not None:
                        tail = [*tail[1 - _LOG_TAIL_LINES :], line]
                        on_line(line)
                on_tick()
            returncode = process.wait()
        finally:
            _end(process)
            reader.join()
        if returncode != 0:
            raise _failure(specs, toolchain, tail)
        output.seek(0)
        return output.read()


def _read_lines(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends ``go`` and its compilers, if they still run; lets it remove its own work folder first."""
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(_INTERRUPT_GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


_CHECKSUM_SIGNS = ("verifying ", "missing go.sum entry", "checksum database", "sum.golang.org")
_NETWORK_SIGNS = (
    "dial tcp",
    "no such host",
    "i/o timeout",
    "connection refused",
    "network is unreachable",
    "proxyconnect",
    "TLS handshake",
    "x509:",
    "GOPROXY=off",
    "Forbidden",
    "Bad Gateway",
    "Service Unavailable",
)


def is_about_checksums(tail: Sequence[str]) -> bool:
    """Whether Go's last words say that a module's checksum differs, or cannot be had."""
    words = "\n".join(tail)
    return "SECURITY ERROR" in words or any(sign in words for sign in _CHECKSUM_SIGNS)


def _failure(specs: Sequence[ComponentSpec], toolchain: Toolchain, tail: Sequence[str]) -> ComponentError:
    """Turns Go's last words into one line with a way out."""
    names = joined(spec.name for spec in specs)
    by_path = f"or hand over a binary with --component {specs[0].name}=PATH"
    words = "\n".join(tail)
    last = next((line for line in reversed(tail) if line.strip()), "go failed without a word")
    if "no space left on device" in words:
        text = (
            f"the disk is full while building {names}: free some space (a first build of everything takes about "
            f"8 GB), or move Go's caches by GOCACHE and GOMODCACHE and planebench's by PLANEBENCH_CACHE"
        )
    elif "read-only file system" in words or "permission denied" in words:
        text = (
            f"cannot write while building {names}: {last}; "
            "set GOCACHE, GOMODCACHE or PLANEBENCH_CACHE to a writable folder"
        )
    elif "SECURITY ERROR" in words:
        text = (
            f"the Go modules of {names} are not what their checksums say: {last}; "
            f"ask the owner of the module proxy (go env GOPROXY), {by_path}"
        )
    elif any(sign in words for sign in _CHECKSUM_SIGNS):
        text = (
            f"no checksum can be had for a Go module of {names}: {last}; where you trust the module proxy, name "
            f"the module in GONOSUMDB, or set GOSUMDB=off; else take the official image (--source image) {by_path}"
        )
    elif any(sign in words for sign in _NETWORK_SIGNS):
        text = f"cannot download the Go modules of {names}: {last}; check the network or GOPROXY, {by_path}"
    else:
        text = f"cannot build {names} with {toolchain.version}: {last}; {by_path}"
    return ComponentError(text, component=specs[0].name, log_tail=tail)
