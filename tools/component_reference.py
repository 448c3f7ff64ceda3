"""Writes the tables of docs/components from the code: ``python tools/component_reference.py``.

The figures come from ``planebench.slis.families`` and planes' descriptors; what stands above the table of a page
is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from planebench.planes import Plane, builtin_names, load_plane
from planebench.slis.families import figures_of
from planebench.slis.metrics import Metric

FOLDER: Final = Path(__file__).parent.parent / "docs" / "components"
BEGIN: Final = "<!-- reference: written by tools/component_reference.py -->\n"
PAGES: Final = {
    "api-server.md": ("kube-apiserver",),
    "etcd.md": ("etcd",),
    "scheduler.md": ("kube-scheduler",),
    "controller-manager.md": ("kube-controller-manager",),
    "kwok.md": ("kwok",),
    **{f"{name}.md": tuple(plane.figures) for name in builtin_names() if (plane := load_plane(name)).figures},
}
"""Page -> the components that it tells of."""
_UNITS: Final = {"s": "seconds", "/s": "per second", "bytes": "bytes", "count": "number", "ratio": "ratio"}


def plane_of(page: str) -> Plane | None:
    """The plane that a page tells of; None: Kubernetes alone."""
    name = page.removesuffix(".md")
    return load_plane(name) if name in builtin_names() else None


def pages() -> dict[Path, str]:
    """Every page with new tables after its hand-written part."""
    found = {}
    for name, components in PAGES.items():
        path = FOLDER / name
        head, _, _ = path.read_text(encoding="utf-8").partition(BEGIN)
        found[path] = head + BEGIN + "\n" + "\n".join(_page(components, plane_of(name))) + "\n"
    return found


def _page(components: tuple[str, ...], plane: Plane | None) -> Iterator[str]:
    yield "## All figures\n"
    yield (
        "**!** marks what the summary tells at first sight; *later* what a component serves only once there is "
        "something to count. `.*` stands for a prefix that a control plane may give."
    )
    for component in components:
        figures = figures_of(component, plane)
        yield f"\n### {component}\n"
        yield "| id | what | told as | unit | metric | parts |\n|-|-|-|-|-|-|"
        yield from (_row(metric, "") for metric in figures.metrics)
        if figures.per_object:
            yield _row(figures.per_object, ", per object of the workload")
        for teller, metrics in figures.told_by.items():
            yield from (_row(metric, f", of {teller}") for metric in metrics)
        if figures.requests:
            yield (
                f"\nRequests: `{figures.requests.family}`; errors: those whose `{figures.error_label}` is "
                f"`{figures.error}`."
            )


def _row(metric: Metric, whose: str) -> str:
    conditions = [f"`{label}` is `{pattern}`" for label, pattern in metric.only.items()]
    conditions += [f"`{label}` is not `{pattern}`" for label, pattern in metric.unless.items()]
    family = "; ".join((f"`{metric.family}`{whose}", *conditions)).replace("|", "\\|")
    later = "" if metric.always else ", later"
    return (
        f"| `{metric.id}`{' **!**' if metric.headline else ''} | {metric.title} | {metric.kind}{later} "
        f"| {_UNITS[metric.unit]} | {family} | {', '.join(f'`{label}`' for label in metric.by) or 'none'} |"
    )


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
