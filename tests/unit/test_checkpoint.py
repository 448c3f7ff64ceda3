"""Checkpoints of clusters: files of a cluster whose etcd is a process that echoes lines."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from planebench.cluster import checkpoint, named
from planebench.cluster.checkpoint import Checkpoint
from planebench.cluster.named import ClusterRecord, Keeper, NamedCluster, ServedConfig
from planebench.cluster.pki import Authority, write_key_pair
from planebench.components import Layout
from planebench.model import Access, ComponentProcess, Identity, Role, UsageError

_ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
_SAVED_BY_ONE_WHO_IS_KILLED = """
import os, signal, sys
from planebench.cluster import checkpoint
with checkpoint._standing_still(int(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)
"""


class Etcd:
    """Stands for etcd."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.works()

    def works(self) -> bool:
        """Whether it echoes; does not return before it does."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("a line\n")
        self._process.stdin.flush()
        return self._process.stdout.readline() == "a line\n"

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def etcd() -> Iterator[Etcd]:
    process = Etcd()
    yield process
    process.end()


@pytest.fixture
def cluster(etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NamedCluster:
    """With etcd's files, and all that a start makes."""
    monkeypatch.setenv(named.STATE_VARIABLE, str(tmp_path / "state"))
    folder = named.folder_of("mine")
    layout = named.layout(folder)
    for name in ("ca", "etcd/ca", "front-proxy-ca"):
        Authority.create(layout, name, name).issue("of-no-use" if name == "ca" else f"{name}-leaf", "someone")
    write_key_pair(layout.key("sa"), layout.pki / "sa.pub")
    database = layout.etcd_data / "member" / "snap" / "db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"objects" + bytes(3 << 20) + b"more" + bytes(2 << 20))
    log = layout.etcd_data / "member" / "wal"
    log.mkdir()
    (log / "0-0.wal").write_bytes(b"entries")
    (log / "0.tmp").write_bytes(bytes(64))
    config = {"binaries": {"etcd": sys.executable}, "timeout_s": 9.0, "settings": {"a": 1}}
    served = ServedConfig("mine", "core", config, {"etcd": "v3.7.3"})
    (folder / "config.json").write_bytes(msgspec.json.encode(served))
    access = Access("127.0.0.1", 1, layout.ca, Identity("me", (), layout.ca, layout.ca))
    processes = [
        ComponentProcess(name, name, Role.SUBJECT, etcd.pid, (name,), folder / "log")
        for name in ("etcd", "kube-apiserver")
    ]
    record = ClusterRecord(
        name="mine",
        plane="core",
        settings={},
        started_wall_s=1.0,
        keeper=Keeper.current(),
        admin=access,
        load=access,
        kubeconfig=folder,
        logs=folder,
        etcd_data=layout.etcd_data,
        processes=processes,
        deviations=[],
        timeline_s={},
    )
    return NamedCluster(record)


@pytest.fixture
def saved(cluster: NamedCluster) -> Checkpoint:
    return checkpoint.save("first", cluster, nodes=3, pods=5)


def test_what_is_saved_is_what_a_new_cluster_gets(saved: Checkpoint, etcd: Etcd, tmp_path: Path) -> None:
    assert etcd.works()
    checkpoint.demand_usable(saved)
    old, new = named.layout(named.folder_of("mine")), Layout(tmp_path / "new")
    checkpoint.place(saved, new)
    kept = {str(file.relative_to(new.folder)): file for file in new.folder.rglob("*") if file.is_file()}
    assert set(kept) == {
        *("etcd/member/snap/db", "etcd/member/wal/0-0.wal", "pki/sa.key", "pki/sa.pub"),
        *(f"pki/{name}.{ending}" for name in ("ca", "etcd/ca", "front-proxy-ca") for ending in ("crt", "key")),
    }
    for name, file in kept.items():
        assert file.read_bytes() == (old.folder / name).read_bytes()
    everything = [*named.state_folder().glob(".checkpoints/first/**/*"), *new.folder.rglob("*")]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in everything if path.is_dir())
    database = kept["etcd/member/snap/db"].stat()
    assert database.st_blocks * 512 < database.st_size / 2
    authority = Authority.obtain(new, "ca", "another")
    assert authority.issue("again", "me").certificate.exists()
    assert new.ca.read_bytes() == old.ca.read_bytes()


def test_what_a_restored_cluster_is_started_with(saved: Checkpoint) -> None:
    served = checkpoint.served(saved, "other")
    assert (served.name, served.plane, served.versions) == ("other", "core", {"etcd": "v3.7.3"})
    assert served.config == {**saved.served.config, "restored": True}


def test_checkpoints_are_listed_found_and_removed(saved: Checkpoint, cluster: NamedCluster) -> None:
    assert checkpoint.get("first") == saved
    assert (saved.cluster, saved.nodes, saved.pods, saved.size_bytes > 5 << 20) == ("mine", 3, 5, True)
    second = checkpoint.save("second", cluster, nodes=0, pods=0)
    assert checkpoint.all_checkpoints() == [saved, second]
    assert [*named.names()] == ["mine"]
    with pytest.raises(UsageError, match=r"'first' is there already; `planebench checkpoint rm first`"):
        checkpoint.save("first", cluster, nodes=0, pods=0)
    checkpoint.remove("first")
    assert checkpoint.all_checkpoints() == [second]
    for action in (checkpoint.get, checkpoint.remove):
        with pytest.raises(UsageError, match=r"there is no checkpoint 'first'; there are: second"):
            action("first")


@pytest.mark.parametrize("change", [b"", b"else"])
def test_a_damaged_file_is_found(saved: Checkpoint, change: bytes) -> None:
    (checkpoint.folder_of("first") / "etcd/member/wal/0-0.wal").write_bytes(change)
    with pytest.raises(UsageError, match=r"is damaged: etcd/member/wal/0-0\.wal is not what was saved"):
        checkpoint.demand_usable(saved)


def test_a_missing_file_is_found(saved: Checkpoint) -> None:
    (checkpoint.folder_of("first") / "pki/ca.key").unlink()
    with pytest.raises(UsageError, match=r"is damaged: pki/ca\.key: No such file"):
        checkpoint.demand_usable(saved)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"format": 99, "what": "else"}', r"is of a newer planebench \(format 99, not 1\)"),
        (b'{"format": 1}', r"is damaged \(checkpoint\.json: .*`planebench checkpoint rm first` removes it"),
        (b"\xff", "is damaged"),
    ],
)
def test_a_record_that_cannot_be_read(saved: Checkpoint, content: bytes, words: str) -> None:
    (checkpoint.folder_of("first") / "checkpoint.json").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        checkpoint.get("first")
    checkpoint.remove("first")
    assert checkpoint.all_checkpoints() == []
    assert not checkpoint.folder_of("first").parent.exists()


def test_a_binary_that_is_gone(saved: Checkpoint, tmp_path: Path) -> None:
    gone = msgspec.structs.replace(saved.served, config={"binaries": {"etcd": str(tmp_path / "gone")}})
    with pytest.raises(UsageError, match=r"etcd v3\.7\.3 is not at .*gone any more"):
        checkpoint.demand_usable(msgspec.structs.replace(saved, served=gone))


def test_several_members_of_etcd(cluster: NamedCluster) -> None:
    several = msgspec.structs.replace(cluster.record, processes=[cluster.processes[0]] * 3)
    with pytest.raises(UsageError, match="has 3 members of etcd"):
        checkpoint.save("first", NamedCluster(several), nodes=0, pods=0)


def test_nothing_is_left_of_what_could_not_be_saved(cluster: NamedCluster, etcd: Etcd) -> None:
    (named.layout(named.folder_of("mine")).pki / "sa.pub").unlink()
    with pytest.raises(Exception, match=r"checkpoint 'first': .*sa\.pub: No such file"):
        checkpoint.save("first", cluster, nodes=0, pods=0)
    assert not checkpoint.folder_of("first").exists()
    assert etcd.works()


@pytest.mark.parametrize("name", ["Upper", "a/b", "", ".."])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match=r"checkpoint .*: expected lower-case letters"):
        checkpoint.folder_of(name)


def test_etcd_goes_on_where_the_one_who_saves_is_killed(etcd: Etcd) -> None:
    subprocess.run([sys.executable, "-c", _SAVED_BY_ONE_WHO_IS_KILLED, str(etcd.pid)], check=False)
    assert etcd.works()
