import errno
import logging
import os
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest
from fake_go import FakeGo, eventually

from planebench.binaries import BuildProgress, cached, resolve
from planebench.model import ComponentError, ExitCode, UsageError


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    go = FakeGo(tmp_path / "go")
    monkeypatch.setenv("PATH", f"{go.bin_dir}:/usr/bin:/bin")
    monkeypatch.setenv("PLANEBENCH_REGISTRY", "127.0.0.1:1")  # nobody answers there
    return go


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- building and finding -----------------------------------------------------------------------------------


def test_builds_once_and_finds_it_from_then_on(go: FakeGo, cache: Path) -> None:
    built = resolve(["kwok", "etcd"], cache_dir=cache)
    assert list(built) == ["kwok", "etcd"]
    assert built["etcd"].source == "go build"
    assert built["etcd"].version == "v3.7.3"
    assert built["etcd"].go_version == "go1.26.8"
    assert built["etcd"].path.name == "etcd"
    assert subprocess.check_output([built["etcd"].path], text=True) == "go.etcd.io/etcd/server/v3\n"
    assert built["etcd"].size_bytes == built["etcd"].path.stat().st_size

    found = resolve(["etcd", "kwok"], cache_dir=cache)
    assert found["etcd"].source == "cache"
    assert found["etcd"].sha256 == built["etcd"].sha256
    assert len(go.calls("build")) == 2, "one for each graph, none for what is cached"
    assert list((cache / "building").iterdir()) == []


def test_components_of_one_graph_are_built_together(go: FakeGo, cache: Path) -> None:
    resolve(["kube-scheduler", "etcd", "kube-apiserver"], cache_dir=cache)
    builds = go.calls("build")
    assert len(builds) == 2
    assert builds[1].endswith("k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-scheduler")
    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in builds[1]
    resolve(["kube-apiserver", "kube-controller-manager"], cache_dir=cache)
    assert go.calls("build")[2].endswith("/out/ k8s.io/kubernetes/cmd/kube-controller-manager")


def test_another_go_version_builds_anew(go: FakeGo, cache: Path) -> None:
    first = resolve(["kwok"], cache_dir=cache)["kwok"]
    go.set(GOVERSION="go1.27.0")
    assert cached(["kwok"], cache_dir=cache) == {"kwok": None}
    second = resolve(["kwok"], cache_dir=cache)["kwok"]
    assert second.source == "go build"
    assert first.path != second.path
    assert first.path.exists()


def test_cached_tells_what_is_there(go: FakeGo, cache: Path) -> None:
    built = resolve(["etcd"], cache_dir=cache)["etcd"]
    answer = cached(["kwok", "etcd"], cache_dir=cache)
    assert answer["kwok"] is None
    assert answer["etcd"] is not None
    assert answer["etcd"].path == built.path


def test_the_environment_chooses_the_cache_folder(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANEBENCH_CACHE", str(tmp_path / "elsewhere"))
    assert resolve(["etcd"])["etcd"].path.is_relative_to(tmp_path / "elsewhere")


def test_a_relative_cache_folder_lies_in_the_working_folder(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(["etcd"], cache_dir=Path("here"))["etcd"].path.is_relative_to(tmp_path / "here")


# --- damage ---------------------------------------------------------------------------------------------------


def flip_a_bit(binary: Path) -> None:
    """Damages a file without a trace in its size or times."""
    times = binary.stat()
    content = bytearray(binary.read_bytes())
    content[3] ^= 1
    binary.write_bytes(content)
    os.utime(binary, ns=(times.st_atime_ns, times.st_mtime_ns))


def truncate(binary: Path) -> None:
    binary.write_bytes(b"")


def lose_binary(binary: Path) -> None:
    binary.unlink()


def lose_mode(binary: Path) -> None:
    # Root may execute whatever has any x bit, and nothing without.
    binary.chmod(0o600)


def lose_record(binary: Path) -> None:
    (binary.parent / "artifact.json").unlink()


def truncate_record(binary: Path) -> None:
    (binary.parent / "artifact.json").write_text('{"name": "kw')


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, lose_binary, lose_mode, lose_record, truncate_record])
def test_damage_is_noticed_and_built_again(
    go: FakeGo, cache: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    sound = resolve(["kwok"], cache_dir=cache)["kwok"]
    damage(sound.path)
    assert cached(["kwok"], cache_dir=cache) == {"kwok": None}
    caplog.clear()
    again = resolve(["kwok"], cache_dir=cache)["kwok"]
    assert again.source == "go build"
    assert again.sha256 == sound.sha256
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert warning.getMessage().startswith("the cached kwok is damaged")
    assert resolve(["kwok"], cache_dir=cache)["kwok"].source == "cache"


# --- builds that do not end -------------------------------------------------------------------------------------


def test_a_failed_build_leaves_nothing_in_the_cache(go: FakeGo, cache: Path) -> None:
    go.fail("build", "# example.com/broken\nbroken.go:1:1: syntax error\n")
    with pytest.raises(
        ComponentError, match=r"cannot build kwok with go1\.26\.8: broken\.go:1:1: syntax"
    ) as caught:
        resolve(["kwok"], cache_dir=cache)
    assert caught.value.component == "kwok"
    assert caught.value.log_tail[0] == "# example.com/broken"
    assert caught.value.exit_code == ExitCode.BROKEN
    assert not (cache / "binaries").exists()
    assert list((cache / "building").iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_build_ends_its_processes_and_leaves_nothing(
    go: FakeGo, cache: Path, interruption: type[BaseException]
) -> None:
    go.hang()

    def interrupt(_: BuildProgress) -> None:
        if go.building_pid is not None:
            raise interruption

    with pytest.raises(interruption):
        resolve(["kwok"], cache_dir=cache, on_progress=interrupt)
    pid = go.building_pid
    assert pid is not None
    assert not is_alive(pid)
    assert not (cache / "binaries").exists()
    assert list((cache / "building").iterdir()) == []
    go.go_on()
    assert resolve(["kwok"], cache_dir=cache)["kwok"].source == "go build"


def test_what_a_killed_build_left_is_removed(go: FakeGo, cache: Path) -> None:
    left = cache / "building" / "kwok" / "out" / "kwok"
    left.parent.mkdir(parents=True)
    left.write_text("half of it")
    artifact = resolve(["kwok"], cache_dir=cache)["kwok"]
    assert artifact.path.read_text().endswith("sigs.k8s.io/kwok/cmd/kwok\n")
    assert not left.exists()


def test_of_two_builds_at_once_one_waits_for_the_other(go: FakeGo, cache: Path) -> None:
    go.hang()
    waited = threading.Event()

    def listen(progress: BuildProgress) -> None:
        if progress.stage == "wait":
            waited.set()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(resolve, ["kwok"], cache_dir=cache)
        try:
            assert eventually(lambda: go.building_pid is not None)
            second = pool.submit(resolve, ["kwok"], cache_dir=cache, on_progress=listen)
            assert waited.wait(10)
        finally:
            go.go_on()
        assert first.result().keys() == second.result().keys()
    assert {first.result()["kwok"].source, second.result()["kwok"].source} == {"go build", "cache"}
    assert len(go.calls("build")) == 1


def test_waiting_can_be_interrupted(go: FakeGo, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "planebench")
    (cache / "locks").mkdir(parents=True)

    def interrupt(progress: BuildProgress) -> None:
        if progress.stage == "wait":
            assert progress.graph == "kwok"
            raise KeyboardInterrupt

    with filelock.FileLock(cache / "locks" / "kwok.lock"), pytest.raises(KeyboardInterrupt):
        resolve(["kwok"], cache_dir=cache, on_progress=interrupt)
    assert "another process is building kwok: waiting for it" in caplog.messages
    assert go.calls("build") == []


# --- folders, disks, networks -----------------------------------------------------------------------------------


def test_a_cache_folder_that_cannot_be_made_is_named(go: FakeGo, cache: Path) -> None:
    cache.write_text("a file in its place")
    with pytest.raises(ComponentError) as caught:
        resolve(["kwok"], cache_dir=cache)
    assert str(caught.value) == (
        f"cannot write the cache folder {cache}: Not a directory; choose another with PLANEBENCH_CACHE"
    )


def test_a_complete_cache_is_only_read(go: FakeGo, cache: Path) -> None:
    resolve(["kwok"], cache_dir=cache)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    resolve(["kwok"], cache_dir=cache)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_a_disk_that_fills_up_as_the_binary_enters(
    go: FakeGo, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ComponentError, match=r"cannot write the cache folder .*: No space left on device; choose"):
        resolve(["kwok"], cache_dir=cache)
    assert list((cache / "building").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("write /tmp/x: no space left on device", "the disk is full while building kwok: free some space"),
        (
            "open /x: permission denied",
            "cannot write while building kwok: open /x: permission denied; set GOCACHE",
        ),
        ("mkdir /x: read-only file system", "cannot write while building kwok: mkdir /x: read-only file system"),
        (
            "go: example.com/m@v1.0.0: Get: dial tcp: lookup proxy: no such host",
            "cannot download the Go modules of kwok: go: example.com/m@v1.0.0: Get: dial tcp: lookup proxy: "
            "no such host; check the network or GOPROXY, or hand over a binary with --component kwok=PATH",
        ),
        (
            "module lookup disabled by GOPROXY=off",
            "cannot download the Go modules of kwok: module lookup disabled",
        ),
        ("", "cannot build kwok with go1.26.8: go failed without a word"),
    ],
)
@pytest.mark.parametrize("command", ["list", "build"])
def test_each_trouble_is_told_in_one_line_with_a_way_out(
    go: FakeGo, cache: Path, command: str, words: str, told: str
) -> None:
    go.fail(command, words)
    with pytest.raises(ComponentError) as caught:
        resolve(["kwok"], cache_dir=cache)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


# --- overrides ---------------------------------------------------------------------------------------------------


def test_a_binary_handed_over_needs_no_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    binary = tmp_path / "my-etcd"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    artifact = resolve(["etcd"], overrides={"etcd": binary}, cache_dir=tmp_path / "cache")["etcd"]
    assert artifact.source == "path"
    assert artifact.path == binary
    assert artifact.version == "unknown"
    assert artifact.size_bytes == 10
    assert len(artifact.sha256) == 64
    assert not (tmp_path / "cache").exists()


def test_a_missing_override_names_the_flag(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--component etcd=/nowhere/etcd: no such file$") as caught:
        resolve(["etcd"], overrides={"etcd": Path("/nowhere/etcd")}, cache_dir=tmp_path)
    assert caught.value.exit_code == ExitCode.USAGE


def test_an_override_that_cannot_be_run_names_the_flag(tmp_path: Path) -> None:
    (tmp_path / "etcd").write_text("text")
    with pytest.raises(UsageError, match=r"^--component etcd=.*/etcd: the file is not executable"):
        resolve(["etcd"], overrides={"etcd": tmp_path / "etcd"}, cache_dir=tmp_path)


def test_an_override_of_an_unknown_component_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'etc'; known components"):
        resolve(["etcd"], overrides={"etc": tmp_path}, cache_dir=tmp_path)


# --- progress ----------------------------------------------------------------------------------------------------


def test_progress_counts_modules_then_packages_and_binaries(go: FakeGo, cache: Path) -> None:
    told: list[BuildProgress] = []
    resolve(["etcd", "kwok"], cache_dir=cache, on_progress=told.append)
    downloads = [progress for progress in told if progress.stage == "download"]
    assert {progress.component for progress in downloads} == {"etcd", "kwok"}
    assert max(progress.done for progress in downloads) == 2, "the third module's download has only begun"
    assert downloads[0].total > 50
    builds = [progress for progress in told if progress.stage in {"compile", "link"}]
    # etcd: fmt, a, b; kwok: nothing, since all three are compiled by then; and the two binaries
    assert {progress.total for progress in builds} == {5}
    counts = [progress.done for progress in builds]
    assert counts == sorted(counts)
    assert {progress.component for progress in builds if progress.done < 3} == {"etcd"}
    assert builds[-1].component == "kwok"


def test_progress_passes_over_what_go_has_compiled(go: FakeGo, cache: Path) -> None:
    go.packages("example.com/a", stale_reason="not installed but available in build cache")
    told: list[BuildProgress] = []
    resolve(["kwok"], cache_dir=cache, on_progress=told.append)
    assert {progress.total for progress in told if progress.stage != "download"} == {1}
    assert {progress.stage for progress in told} == {"download", "link"}
