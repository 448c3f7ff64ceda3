"""Who reaches whom at which port, with members, a load balancer and proxies between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from planebench.cluster.ports import Ports
from planebench.cluster.wiring import CLIENTS, Wiring
from planebench.components import ALONE, Member
from planebench.planes import load_plane

PLANE = load_plane("kubevirt")
SEVERAL = {"etcd": 3, "kube-apiserver": 2, "kube-scheduler": 2}


@pytest.fixture
def ports() -> Iterator[Ports]:
    found = Ports()
    yield found
    found.close()


def test_one_of_each_needs_nothing_between(ports: Ports) -> None:
    wiring = Wiring(ports, PLANE, {}, ())
    assert (wiring.balancer, wiring.proxy, wiring.links, wiring.etcd_cluster) == (None, None, [], {})
    assert wiring.front == wiring.api_servers[0]
    assert wiring.etcd_url(ALONE) == f"https://127.0.0.1:{wiring.etcd[0].client}"
    assert {wiring.api_port(client, ALONE) for client in ("load", "kwok", "virt-api")} == {wiring.front}


def test_several_api_servers_stand_behind_a_balancer_and_know_all_of_etcd(ports: Ports) -> None:
    wiring = Wiring(ports, PLANE, SEVERAL, ())
    assert wiring.balancer == wiring.front
    assert wiring.front not in wiring.api_servers
    assert wiring.etcd_url(Member(1, 2)).count("https://") == 3
    assert list(wiring.etcd_cluster) == ["etcd-1", "etcd-2", "etcd-3"]
    assert list(wiring.etcd_cluster.values()) == [member.peer for member in wiring.etcd]
    assert len(wiring.members("kube-controller-manager")) == 1, "what the topology does not name is alone"


def test_every_member_has_a_link_of_its_own(ports: Ports) -> None:
    wiring = Wiring(ports, PLANE, SEVERAL, [("kube-apiserver", "etcd"), ("kube-scheduler", "kube-apiserver")])
    names = [link.name for link in wiring.links]
    assert len(names) == len(set(names)) == 2 * 3 + 2
    first, second = (wiring.etcd_url(Member(number, 2)) for number in (1, 2))
    assert set(first.split(",")).isdisjoint(second.split(","))
    through = {wiring.api_port("kube-scheduler", Member(number, 2)) for number in (1, 2)}
    assert len(through) == 2 and wiring.front not in through
    assert wiring.api_port("load", ALONE) == wiring.front, "others go straight"
    assert {link.upstream for link in wiring.between("kube-scheduler", "kube-apiserver")} == {wiring.front}
    assert {link.upstream for link in wiring.between("kube-apiserver", "etcd")} == {m.client for m in wiring.etcd}


def test_clients_are_all_of_them(ports: Ports) -> None:
    wiring = Wiring(ports, PLANE, {}, [(CLIENTS, "kube-apiserver")])
    clients = {link.client for link in wiring.between(CLIENTS, "kube-apiserver")}
    assert clients == {
        "kube-scheduler",
        "kube-controller-manager",
        "kwok",
        "load",
        "virt-api",
        "virt-controller",
    }


def test_no_port_is_used_twice(ports: Ports) -> None:
    wiring = Wiring(ports, PLANE, SEVERAL, [("kube-apiserver", "etcd"), (CLIENTS, "kube-apiserver")])
    used = [port for member in wiring.etcd for port in (member.client, member.peer)]
    used += [*wiring.api_servers, *(link.port for link in wiring.links)]
    used += [port for port in (wiring.balancer, wiring.proxy) if port is not None]
    assert len(used) == len(set(used))
