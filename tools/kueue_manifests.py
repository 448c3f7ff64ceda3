"""Writes the kueue plane's upstream objects: what ``kustomize build config/default`` makes of the module's files.

    python tools/kueue_manifests.py v0.17.0

Takes the module from Go's module cache (``go mod download`` verifies it). Left out are what planebench runs or
stands in for itself: the Deployment, its Services and its ConfigMap, the visibility server's APIServices.
"""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "kueue-system"
PREFIX = "kueue-"
PLANE = Path(__file__).parents[1] / "src/planebench/planes/kueue"


def main(version: str) -> None:
    """Writes ``manifests-VERSION.json.gz`` into the plane's folder."""
    answer = subprocess.run(
        ["go", "mod", "download", "-json", f"sigs.k8s.io/kueue@{version}"], check=True, capture_output=True
    )
    components = Path(json.loads(answer.stdout)["Dir"]) / "config/components"
    parts = (_definitions(components / "crd"), _rights(components / "rbac"), _webhooks(components / "webhook"))
    objects = list(itertools.chain(*parts))
    data = json.dumps({"version": version, "objects": objects}, separators=(",", ":"), sort_keys=True)
    (PLANE / f"manifests-{version}.json.gz").write_bytes(gzip.compress(data.encode(), 9, mtime=0))


def _definitions(folder: Path) -> Iterator[dict[str, Any]]:
    plan = _load(folder / "kustomization.yaml")
    patches = {}
    for patch in plan["patches"]:
        found = _load(folder / patch["path"])
        patches[found["metadata"]["name"]] = found["spec"]
    for name in plan["resources"]:
        definition = _load(folder / name)
        definition["spec"] |= patches.get(definition["metadata"]["name"], {})
        for service in _services(definition["spec"].get("conversion", {}).get("webhook", {})):
            _rename(service)
        yield definition


def _rights(folder: Path) -> Iterator[dict[str, Any]]:
    for name in _load(folder / "kustomization.yaml")["resources"]:
        item = _load(folder / name)
        _rename(item["metadata"])
        if "roleRef" in item:
            item["roleRef"]["name"] = PREFIX + item["roleRef"]["name"]
        for subject in item.get("subjects", ()):
            _rename(subject)
        yield item


def _webhooks(folder: Path) -> Iterator[dict[str, Any]]:
    """Without the prefix: by their names with it the controller's own certificate rotation finds them."""
    objects = [item for item in yaml.safe_load_all((folder / "manifests.yaml").read_text()) if item]
    for patch in _load(folder / "kustomization.yaml")["patches"]:
        change = yaml.safe_load(patch["patch"])
        item = next(item for item in objects if item["kind"] == change["kind"])
        for webhook in change["webhooks"]:
            next(own for own in item["webhooks"] if own["name"] == webhook["name"]).update(webhook)
    for item in objects:
        for webhook in item["webhooks"]:
            _rename(webhook["clientConfig"]["service"])
        yield item


def _services(webhook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "service" in webhook.get("clientConfig", {}):
        yield webhook["clientConfig"]["service"]


def _rename(metadata: dict[str, Any]) -> None:
    metadata["name"] = PREFIX + metadata["name"]
    if "namespace" in metadata:
        metadata["namespace"] = NAMESPACE


def _load(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(file.read_text())
    return data


if __name__ == "__main__":
    main(sys.argv[1])
