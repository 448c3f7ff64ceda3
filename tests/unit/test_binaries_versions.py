"""Versions that are not pinned, source trees, archives: with a scripted go."""

import json
import logging
import subprocess
import tarfile
from pathlib import Path

import pytest
from fake_go import FakeGo
from hypothesis import given
from hypothesis import strategies as st

from planebench.binaries import (
    Sources,
    cached,
    catalog,
    export_archive,
    import_archive,
    others,
    prune,
    resolve,
)
from planebench.binaries.component import spec, wanted_versions
from planebench.binaries.tree import content_digest
from planebench.binaries.wrapper import module_text
from planebench.model import ComponentError, UsageError
from planebench.versions import numbers, parse_version

KUBERNETES = {
    "Go": "1.25.0",
    "Godebug": [{"Key": "default", "Value": "go1.25"}],
    "Require": [
        {"Path": "k8s.io/api", "Version": "v0.0.0"},
        {"Path": "k8s.io/klog/v2", "Version": "v2.130.1"},
    ],
    "Replace": [{"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}}],
}
ETCD = {
    "Go": "1.23.0",
    "Require": [{"Path": "go.etcd.io/etcd/api/v3", "Version": "v3.5.21"}],
    "Replace": [
        {"Old": {"Path": "go.etcd.io/etcd/api/v3"}, "New": {"Path": "../api"}},
        {"Old": {"Path": "go.etcd.io/etcd"}, "New": {"Path": "./FORBIDDEN_DEPENDENCY"}},
    ],
}


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    go = FakeGo(tmp_path / "go")
    monkeypatch.setenv("PATH", f"{go.bin_dir}:/usr/bin:/bin")
    monkeypatch.setenv("PLANEBENCH_REGISTRY", "127.0.0.1:1")  # nobody answers there
    source = tmp_path / "module"
    source.mkdir()
    (source / "go.sum").write_text("example.com/m v1.0.0/go.mod h1:abc=\n")
    go.module(source, **KUBERNETES)
    return go


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# --- versions -------------------------------------------------------------------------------------------------


def test_versions_are_read_with_and_without_a_v() -> None:
    assert parse_version("1.35.4") == parse_version("v1.35.4") == "v1.35.4"
    assert parse_version("1.36.0-rc.1") == "v1.36.0-rc.1"
    assert numbers("v3.6.5+source.1a2b") == (3, 6, 5)
    assert numbers("unknown") is None


@pytest.mark.parametrize(
    "text", ["1.35", "latest", "", "1.35.4.5", "1.35.4\n", "v", "1.035.4", "１.35.4", "1.35.4-x"]
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="expected a whole version"):
        parse_version(text)


@given(st.text(max_size=20))
def test_any_text_is_a_version_or_refused(text: str) -> None:
    try:
        assert numbers(parse_version(text)) is not None
    except ValueError as error:
        assert "\n" not in str(error)


def test_versions_that_cannot_be() -> None:
    with pytest.raises(UsageError, match=r"version of kubernetes: 1\.32\.0 is too old, 1\.33\.0 is the oldest"):
        wanted_versions({"kubernetes": "1.32.0"})
    with pytest.raises(UsageError, match=r"version of etcd: expected a whole version"):
        wanted_versions({"etcd": "3.6"})
    with pytest.raises(
        UsageError, match="no project is called 'kubernets'; versions can be given of: toxiproxy, etcd"
    ):
        wanted_versions({"kubernets": "1.35.4"})
    assert wanted_versions({"kube-scheduler": "1.35.4"}) == {"kubernetes": "v1.35.4"}


def test_another_version_is_built_with_a_module_made_of_its_own(go: FakeGo, cache: Path) -> None:
    built = resolve(["kube-scheduler"], versions={"kubernetes": "1.35.4"}, cache_dir=cache)["kube-scheduler"]
    assert (built.version, built.source) == ("v1.35.4", "go build")
    assert built.reason == "not in the cache; 127.0.0.1:1 cannot be reached: Connection refused"
    assert "gitVersion=v1.35.4" in go.calls("build")[0]
    assert "-mod=mod -deps" in go.calls("list")[0]
    module = cache / "modules/kubernetes-v1.35.4"
    assert "replace k8s.io/api => k8s.io/api v0.35.4\n" in (module / "go.mod").read_text()
    assert (module / "go.sum").read_text().startswith("example.com/m v1.0.0/go.mod")

    calls = len(go.calls("mod"))
    kept = resolve(["kube-scheduler"], versions={"kubernetes": "1.35.4"}, cache_dir=cache)["kube-scheduler"]
    assert (kept.source, kept.sha256) == ("cache", built.sha256)
    assert kept.reason == "kept since it was built here"
    assert len(go.calls("mod")) == calls
    assert cached(["kube-scheduler"], cache_dir=cache) == {"kube-scheduler": None}


def test_the_pinned_version_by_its_name_is_the_pinned_one(go: FakeGo, cache: Path) -> None:
    pinned = resolve(["kwok"], cache_dir=cache)["kwok"]
    assert resolve(["kwok"], versions={"kwok": "0.8.0"}, cache_dir=cache)["kwok"].path == pinned.path
    assert go.calls("mod") == []


def test_a_version_that_there_is_not(go: FakeGo, cache: Path) -> None:
    go.fail("mod", "go: k8s.io/kubernetes@v1.99.0: invalid version: unknown revision v1.99.0\n")
    with pytest.raises(
        ComponentError,
        match=r"^cannot get kubernetes v1\.99\.0: go: k8s\.io.*unknown revision v1\.99\.0; is there such a",
    ):
        resolve(["kube-scheduler"], versions={"kubernetes": "1.99.0"}, cache_dir=cache)
    assert not list((cache / "modules").glob("*"))


@pytest.mark.parametrize("command", ["mod", "list"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "verifying example.com/m@v1.0.0/go.mod: reading https://sum.golang.org/lookup: 404 Not Found",
            "no checksum can be had for a Go module of kube-scheduler: verifying example.com/m",
        ),
        (
            "verifying example.com/m@v1.0.0: checksum mismatch\nSECURITY ERROR\nThis download does NOT match.",
            "the Go modules of kube-scheduler are not what their checksums say: This download does NOT match",
        ),
    ],
)
def test_trouble_with_checksums_is_told_with_a_way_out(
    go: FakeGo, cache: Path, words: str, told: str, command: str
) -> None:
    go.fail(command, words)
    with pytest.raises(ComponentError) as caught:
        resolve(["kube-scheduler"], versions={"kubernetes": "1.35.4"}, cache_dir=cache)
    assert str(caught.value).startswith(told)
    assert "--component kube-scheduler=PATH" in str(caught.value)
    assert not list((cache / "modules").glob("*"))


def test_a_module_s_own_folders_become_published_versions(tmp_path: Path) -> None:
    text = module_text(spec("kube-scheduler").at("v1.36.0-rc.1", tmp_path), KUBERNETES)
    assert "\nreplace k8s.io/api => k8s.io/api v0.36.0-rc.1\n" in text
    assert "\ngo 1.25.0\n" in text
    assert "\ngodebug default=go1.25\n" in text
    assert "\ntool k8s.io/kubernetes/cmd/kube-apiserver\n" in text


def test_what_is_required_by_its_version_needs_no_replacement(tmp_path: Path) -> None:
    text = module_text(spec("etcd").at("v3.5.21", tmp_path), ETCD)
    assert "replace" not in text
    assert "\nrequire go.etcd.io/etcd/server/v3 v3.5.21\n" in text
    # Older than `tool` lines; the runtime behaves as upstream means it nevertheless.
    assert "\ngo 1.24.0\n" in text
    assert "\ngodebug default=go1.23\n" in text


@pytest.mark.parametrize("required", ["v0.0.0-00010101000000-000000000000", "v1.6.0"])
def test_replacements_by_other_modules_and_exclusions_are_repeated(tmp_path: Path, required: str) -> None:
    text = module_text(
        spec("virt-api").at("v1.7.0", tmp_path),
        {
            "Go": "1.24.0",
            "Require": [{"Path": "kubevirt.io/api", "Version": required}],
            "Replace": [
                {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "k8s.io/api", "Version": "v0.33.5"}},
                {"Old": {"Path": "a.example/b", "Version": "v1.0.0"}, "New": {"Path": "c", "Version": "v1.0.1"}},
                {"Old": {"Path": "kubevirt.io/api"}, "New": {"Path": "./staging/src/kubevirt.io/api"}},
            ],
            "Exclude": [{"Path": "d.example/e", "Version": "v9.0.0"}],
        },
    )
    assert "\nreplace k8s.io/api => k8s.io/api v0.33.5\n" in text
    assert "\nreplace a.example/b v1.0.0 => c v1.0.1\n" in text
    assert "\nreplace kubevirt.io/api => kubevirt.io/api v1.7.0\n" in text
    assert "\nexclude d.example/e v9.0.0\n" in text


# --- sources ---------------------------------------------------------------------------------------------------


def test_the_cache_alone_pulls_and_builds_nothing(go: FakeGo, cache: Path) -> None:
    with pytest.raises(
        ComponentError, match=r"etcd v3\.7\.3 cannot be had from the allowed sources \(cache\); allow"
    ):
        resolve(["etcd"], sources=Sources(("cache",)), cache_dir=cache)
    assert go.calls("build") == []
    built = resolve(["etcd"], sources=Sources(("go",)), cache_dir=cache)["etcd"]
    assert built.reason == "not in the cache; other sources are forbidden"
    assert resolve(["etcd"], sources=Sources(("cache",)), cache_dir=cache)["etcd"].source == "cache"


def test_a_kept_build_counts_as_a_build_and_not_as_an_image(go: FakeGo, cache: Path) -> None:
    resolve(["etcd"], cache_dir=cache)
    assert resolve(["etcd"], sources=Sources(("go",)), cache_dir=cache)["etcd"].source == "cache"
    with pytest.raises(ComponentError, match=r"127\.0\.0\.1:1 cannot be reached"):
        resolve(["etcd"], sources=Sources(("image",)), cache_dir=cache)


def test_sources_are_checked() -> None:
    assert Sources.read(None, None, {}).allowed == ["cache", "image", "go"]
    with pytest.raises(UsageError, match="--source docker: there are cache, image, go"):
        Sources.read(["docker"], None, {})


# --- source trees ------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "staging/src/k8s.io/api").mkdir(parents=True)
    (tree / "go.mod").write_text("module k8s.io/kubernetes\n")
    (tree / "main.go").write_text("package main\n")
    return tree


def test_one_s_own_tree_is_built_and_cached_by_its_content(go: FakeGo, cache: Path, tree: Path) -> None:
    sources = Sources(trees={"kubernetes": tree})
    built = resolve(["kube-scheduler"], sources=sources, cache_dir=cache)["kube-scheduler"]
    assert built.source == "go build"
    assert built.version == f"v1.37.2+source.{content_digest(tree)[:12]}"
    assert built.reason == f"not in the cache; built from {tree}"
    go_mod = (cache / f"modules/kubernetes-{built.version}/go.mod").read_text()
    assert f'replace k8s.io/kubernetes => "{tree}"\n' in go_mod
    assert f'replace k8s.io/api => "{tree}/staging/src/k8s.io/api"\n' in go_mod
    assert "require k8s.io/kubernetes v1.0.0\n" in go_mod

    assert resolve(["kube-scheduler"], sources=sources, cache_dir=cache)["kube-scheduler"].source == "cache"
    (tree / "main.go").write_text("package main // changed\n")
    changed = resolve(["kube-scheduler"], sources=sources, cache_dir=cache)["kube-scheduler"]
    assert changed.source == "go build"
    assert changed.version != built.version


def test_a_tree_without_its_staging_folders(go: FakeGo, cache: Path, tree: Path) -> None:
    (tree / "staging/src/k8s.io/api").rmdir()
    with pytest.raises(
        ComponentError, match=r"its go\.mod refers to \./staging/src/k8s\.io/api, which is not there"
    ):
        resolve(["kube-scheduler"], sources=Sources(trees={"kubernetes": tree}), cache_dir=cache)


def test_trees_that_are_none(go: FakeGo, cache: Path, tree: Path) -> None:
    for folder, words in (
        (tree / "nowhere", "is no folder"),
        (tree / "staging", "it has no go.mod"),
    ):
        with pytest.raises(UsageError, match=rf"--component-source kubernetes=.*{words}"):
            resolve(["kube-scheduler"], sources=Sources(trees={"kubernetes": folder}), cache_dir=cache)
    with pytest.raises(UsageError, match=r"no source tree of sigs\.k8s\.io/kwok: its go\.mod is of k8s\.io/kube"):
        resolve(["kwok"], sources=Sources(trees={"kwok": tree}), cache_dir=cache)
    with pytest.raises(UsageError, match="kubernetes: a version and a source tree exclude each other"):
        resolve(
            ["kube-scheduler"],
            versions={"kubernetes": "1.35.4"},
            sources=Sources(trees={"kube-scheduler": tree}),
            cache_dir=cache,
        )


def test_what_git_ignores_does_not_count(tree: Path) -> None:
    subprocess.run(["git", "init", "-q", tree], check=True)
    (tree / ".gitignore").write_text("*.log\n")
    before = content_digest(tree)
    (tree / "build.log").write_text("noise")
    assert content_digest(tree) == before
    (tree / "new.go").write_text("package main\n")
    assert content_digest(tree) != before


# --- archives ----------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(go: FakeGo, cache: Path, tmp_path: Path) -> Path:
    file = tmp_path / "components.tar.gz"
    export_archive(file, resolve(["etcd", "kwok"], cache_dir=cache).values())
    return file


def test_an_archive_serves_another_machine_with_another_go(go: FakeGo, archive: Path, tmp_path: Path) -> None:
    go.set(GOVERSION="go1.27.0")
    there = tmp_path / "there"
    taken = import_archive(archive, cache_dir=there)
    assert [artifact.name for artifact in taken] == ["etcd", "kwok"]
    found = resolve(["kwok", "etcd"], sources=Sources(("cache",)), cache_dir=there)
    assert found["kwok"].reason == "kept since it was imported"
    assert found["kwok"].go_version == "go1.26.8"
    assert found["kwok"].sha256 == taken[1].sha256
    assert import_archive(archive, cache_dir=there) == taken, "a second time changes nothing"


def test_an_archive_serves_a_machine_without_go(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("planebench.binaries.toolchain._go_bin", lambda: None)
    import_archive(archive, cache_dir=tmp_path / "there")
    assert resolve(["kwok"], cache_dir=tmp_path / "there")["kwok"].source == "cache"


def repack(archive: Path, change: dict[str, object], *, drop: str = "") -> None:
    """The same archive with the first component's entry changed, and a member left out."""
    with tarfile.open(archive) as packed:
        contents = {member.name: packed.extractfile(member).read() for member in packed}  # type: ignore[union-attr]
    index = json.loads(contents["planebench-components.json"])
    index["components"][0] |= change
    contents["planebench-components.json"] = json.dumps(index).encode()
    folder = archive.parent / "repacked"
    folder.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        for name, content in contents.items():
            if name != drop:
                (folder / name).write_bytes(content)
                packed.add(folder / name, name)


@pytest.mark.parametrize(
    ("change", "drop", "words"),
    [
        ({"sha256": "0" * 64}, "", "etcd is damaged: its digest is"),
        ({"platform": "plan9/mips"}, "", "etcd is for plan9/mips, this machine is"),
        ({"name": "evil"}, "", "no component is called 'evil'"),
        ({"version": "../../v1"}, "", "etcd has no version"),
        ({}, "etcd", "etcd is missing in it"),
        ({}, "planebench-components.json", "does not begin with planebench-components.json"),
    ],
)
def test_archives_that_cannot_be_trusted(
    archive: Path, tmp_path: Path, change: dict[str, object], drop: str, words: str
) -> None:
    repack(archive, change, drop=drop)
    with pytest.raises(UsageError, match=words) as caught:
        import_archive(archive, cache_dir=tmp_path / "there")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "there/binaries").glob("*"))


@pytest.mark.parametrize("size", [0, 100, 200])
def test_truncated_archives(archive: Path, tmp_path: Path, size: int) -> None:
    archive.write_bytes(archive.read_bytes()[:size])
    with pytest.raises(UsageError, match="no archive of components, or a damaged one") as caught:
        import_archive(archive, cache_dir=tmp_path / "there")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "there/binaries").glob("*"))


def test_an_archive_that_is_not_there_or_cannot_be_written(archive: Path, go: FakeGo, cache: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        import_archive(archive.with_name("nothing.tar"), cache_dir=cache)
    with pytest.raises(UsageError, match="No such file"):
        export_archive(Path("/nowhere/components.tar"), resolve(["etcd"], cache_dir=cache).values())


def test_a_binary_given_by_its_path_is_not_exported(go: FakeGo, cache: Path, tmp_path: Path) -> None:
    own = go.bin_dir / "go"
    artifacts = resolve(["etcd"], overrides={"etcd": own}, cache_dir=cache)
    with pytest.raises(UsageError, match="etcd: a binary that is given by its path cannot be exported"):
        export_archive(tmp_path / "components.tar", artifacts.values())
    assert not (tmp_path / "components.tar").exists()


# --- what is kept ------------------------------------------------------------------------------------------------


def test_prune_keeps_what_a_run_would_take(go: FakeGo, cache: Path) -> None:
    pinned = resolve(["kube-scheduler", "etcd"], cache_dir=cache)
    other = resolve(["kube-scheduler"], versions={"kubernetes": "1.35.4"}, cache_dir=cache)["kube-scheduler"]
    found = others(pinned.values(), cache_dir=cache)
    assert [(entry.name, entry.version, entry.origin) for entry in found] == [("kube-scheduler", "v1.35.4", "go")]
    assert prune(dry_run=True, cache_dir=cache) == found
    assert other.path.exists()

    assert prune(cache_dir=cache) == found
    assert not other.path.exists()
    assert not list((cache / "modules").glob("*"))
    assert resolve(["kube-scheduler", "etcd"], cache_dir=cache)["etcd"].source == "cache"

    assert {entry.name for entry in prune(everything=True, cache_dir=cache)} == {"kube-scheduler", "etcd"}
    assert prune(cache_dir=cache) == []


def test_prune_takes_builds_by_another_go(go: FakeGo, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    old = resolve(["kwok"], cache_dir=cache)["kwok"]
    go.set(GOVERSION="go1.27.0")
    new = resolve(["kwok"], cache_dir=cache)["kwok"]
    prune(cache_dir=cache)
    assert not old.path.exists()
    assert new.path.exists()
    assert caplog.messages == []


# --- binaries of one's own -----------------------------------------------------------------------------------


def test_a_binary_is_asked_for_its_version(tmp_path: Path) -> None:
    binary = tmp_path / "my-etcd"
    binary.write_text("#!/bin/sh\necho etcd Version: 3.5.21; echo Go Version: go1.23.7\n")
    binary.chmod(0o755)
    assert resolve(["etcd"], overrides={"etcd": binary}, cache_dir=tmp_path)["etcd"].version == "v3.5.21"


def test_every_component_has_an_image() -> None:
    tags = {one.name: one.image.tag(one.version) for one in catalog() if one.image}
    assert tags.keys() == {one.name for one in catalog()}
    assert (tags["etcd"], tags["toxiproxy"]) == ("v3.7.3", "2.12.0"), "as each project tags them"
