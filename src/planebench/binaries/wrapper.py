"""Generated Go modules: what ``go/`` holds for the pinned versions, for other ones and for one's own source tree.

A main package of another module cannot be built at its own dependencies as it is, since ``replace`` lines are not
inherited. So a small module requires it and repeats what its ``go.mod`` says; its ``go.sum`` starts as upstream's
own, which lies in the module and is covered by the module's checksum.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from planebench.binaries import build, toolchain
from planebench.binaries.cache import BinaryCache
from planebench.binaries.component import ComponentSpec, Graph, catalog, graph
from planebench.model import ComponentError
from planebench.versions import numbers

_OLDEST_GO = (1, 24, 0)
"""The first one that knows ``tool`` lines."""
_PLACEHOLDER = "v0.0.0"
"""What a module requires of those that it replaces by folders of its own."""
_STAGING = "./staging/"
"""Where Kubernetes and KubeVirt keep modules that are published with each of their versions."""


def generate(
    spec: ComponentSpec, cache: BinaryCache, *, on_download: Callable[[], None], on_tick: Callable[[], None]
) -> None:
    """Makes the folder of the component's Go module, if it is not there yet; downloads what it needs to know.

    Raises:
        ComponentError: there is no such version, or the module proxy or the checksum database refuses it.
    """
    with cache.building(spec.graph, on_tick) as work_dir, cache.explained():
        if spec.module_dir.exists():  # another process has made it since
            return
        folder = work_dir / "module"
        folder.mkdir()
        chosen = toolchain.find(folder, cache.root)

        def go(*argv: str) -> str:
            return build.run_go(argv, [spec], chosen, on_line=on_line, on_tick=on_tick, folder=folder)

        def on_line(line: str) -> None:
            if line.startswith("go: downloading "):
                on_download()

        source, go_mod = _source(spec, go)
        (folder / "go.mod").write_text(module_text(spec, json.loads(go("mod", "edit", "-json", go_mod))))
        go_sum = source / "go.sum"
        (folder / "go.sum").write_bytes(go_sum.read_bytes() if go_sum.exists() else b"")
        # All components of the graph, so that its module serves whichever is built first.
        packages = [one.package for one in catalog() if one.graph == spec.graph]
        go("list", "-mod=mod", "-deps", "-f", "{{.ImportPath}}", *packages)
        cache.keep_module(folder, spec.module_dir)


def _source(spec: ComponentSpec, go: Callable[..., str]) -> tuple[Path, str]:
    """The folder with the module's source, and the path of its ``go.mod``."""
    if spec.tree is not None:
        return spec.tree, str(spec.tree / "go.mod")
    module = f"{spec.module}@{spec.version}"
    try:
        go("mod", "download", module)
    except ComponentError as error:
        if build.is_about_checksums(error.log_tail):
            raise
        words = next((line for line in reversed(error.log_tail) if line.strip()), "go failed without a word")
        raise ComponentError(
            f"cannot get {spec.graph} {spec.version}: {words.strip()}; is there such a version? "
            f"Check it, the network and GOPROXY, or hand over a binary with --component {spec.name}=PATH",
            component=spec.name,
            log_tail=error.log_tail,
        ) from None
    answer = json.loads(go("mod", "download", "-json", module))
    return Path(answer["Dir"]), answer["GoMod"]


def module_text(spec: ComponentSpec, upstream: dict[str, Any]) -> str:
    """The generated ``go.mod``. ``upstream``: the module's own one, as ``go mod edit -json`` prints it.

    Raises ComponentError where a source tree lacks folders that it refers to.
    """
    wanted_go = tuple(int(part) for part in upstream["Go"].split("."))
    godebug = {line["Key"]: line["Value"] for line in upstream.get("Godebug") or ()}
    # The main module decides about the runtime's settings, so the generated one has to say what upstream means.
    godebug.setdefault("default", "go" + ".".join(upstream["Go"].split(".")[:2]))
    lines = [
        f"// {spec.graph} {spec.version}, generated from its own go.mod.",
        f"module planebench/{spec.graph}",
        "",
        f"go {upstream['Go'] if wanted_go >= _OLDEST_GO else '.'.join(map(str, _OLDEST_GO))}",
        "",
        *(f"godebug {key}={value}" for key, value in godebug.items()),
        *(f"tool {one.package}" for one in catalog() if one.graph == spec.graph),
        f"require {spec.module} {spec.version if spec.tree is None else _any_version(spec)}",
        *_replacements(spec, upstream),
    ]
    lines += [f"exclude {line['Path']} {line['Version']}" for line in upstream.get("Exclude") or ()]
    return "\n".join(lines) + "\n"


def _any_version(spec: ComponentSpec) -> str:
    """A version that the module's path permits, for one that is replaced anyway."""
    return f"v{(numbers(spec.version) or (0,))[0]}.0.0"


def _replacements(spec: ComponentSpec, upstream: dict[str, Any]) -> Iterator[str]:
    required = {line["Path"]: line["Version"] for line in upstream.get("Require") or ()}
    if spec.tree is not None:
        yield f"replace {spec.module} => {_quoted(spec.tree)}"
    for line in upstream.get("Replace") or ():
        old, new = line["Old"], line["New"]
        which = f"{old['Path']} {old['Version']}" if "Version" in old else old["Path"]
        if "Version" in new:
            yield f"replace {which} => {new['Path']} {new['Version']}"
            continue
        placeholder = required.get(old["Path"], "").startswith(_PLACEHOLDER)
        if spec.tree is None:
            # Where it is required by a real version, that one is published under its own name. What is said of
            # staging folders is not kept up: KubeVirt v1.8 requires kubevirt.io/api v1.7.0.
            if placeholder or new["Path"].startswith(_STAGING):
                yield f"replace {which} => {old['Path']} {_staging(graph(spec.graph), spec.version)}"
        elif (folder := (spec.tree / new["Path"]).resolve()).is_dir():
            yield f"replace {which} => {_quoted(folder)}"
        elif placeholder:
            raise ComponentError(
                f"{spec.tree}: its go.mod refers to {new['Path']}, which is not there: give the whole source tree",
                component=spec.name,
            )


def _staging(of: Graph, version: str) -> str:
    """``v0.35.4`` for Kubernetes ``v1.35.4``; a suffix such as ``-rc.1`` stays."""
    suffix = version.partition("-")
    return of.staging.format(*(numbers(version) or ())) + suffix[1] + suffix[2]


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
