"""What components are started with: kubeadm's flags, each deviation with its reason, files and probes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from planebench.components import (
    ALONE,
    Balancer,
    ClientLimits,
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kwok,
    Layout,
    Link,
    Member,
    ProcessSpec,
    Toxiproxy,
)
from planebench.components.kwok import Parallelism
from planebench.model import Identity, Role, UsageError

LAYOUT = Layout(Path("/c"))
API = "https://127.0.0.1:6443"


def identity(name: str) -> Identity:
    return Identity(name, (), LAYOUT.certificate(name), LAYOUT.key(name))


ADMIN, OBSERVER, ETCD_CLIENT = identity("admin"), identity("observer"), identity("etcd/observer")

Flags = Mapping[str, str]
NONE: Flags = {}


def etcd(flags: Flags = NONE) -> ProcessSpec:
    return Etcd(LAYOUT, 2379, 2380, ETCD_CLIENT, flags).spec()


def apiserver(flags: Flags = NONE) -> ProcessSpec:
    return KubeApiserver(LAYOUT, 6443, "https://127.0.0.1:2379", ADMIN, OBSERVER, flags).spec()


def scheduler(flags: Flags = NONE, limits: ClientLimits | None = None) -> ProcessSpec:
    return KubeScheduler(LAYOUT, 10259, OBSERVER, limits, flags).spec()


def controller_manager(flags: Flags = NONE, limits: ClientLimits | None = None) -> ProcessSpec:
    return KubeControllerManager(LAYOUT, 10257, API, ADMIN, OBSERVER, limits, flags).spec()


def kwok(flags: Flags = NONE) -> ProcessSpec:
    return Kwok(LAYOUT, "kwok", 10247, [{"kind": "Stage", "metadata": {"name": "a"}}], flags=flags).spec()


ALL: dict[str, Callable[[Flags], ProcessSpec]] = {
    "etcd": etcd,
    "kube-apiserver": apiserver,
    "kube-scheduler": scheduler,
    "kube-controller-manager": controller_manager,
    "kwok": kwok,
}
EACH = pytest.mark.parametrize("name", ALL)


def flags_of(spec: ProcessSpec) -> dict[str, str]:
    """Flag -> value; each is given once."""
    found: dict[str, str] = {}
    for argument in spec.arguments:
        match = re.fullmatch(r"--([a-z0-9-]+)=(.*)", argument)
        assert match is not None, argument
        assert match[1] not in found, argument
        found[match[1]] = match[2]
    return found


# --- all of them ---------------------------------------------------------------------------------------------


@EACH
def test_names_and_ports(name: str) -> None:
    spec = ALL[name]({})
    assert (spec.name, spec.component) == (name, name)
    assert spec.ports
    assert spec.metrics is not None
    assert spec.metrics.url.startswith("https://127.0.0.1:")
    assert spec.metrics.url.endswith("/metrics")
    assert spec.metrics.ca is not None, "whom it talks to is checked"
    assert spec.role is (Role.SIMULATOR if name == "kwok" else Role.SUBJECT)
    assert spec.environment == {}


@EACH
def test_nothing_listens_outside_of_this_machine(name: str) -> None:
    flags = flags_of(ALL[name]({}))
    addresses = {flag: value for flag, value in flags.items() if flag.endswith(("-address", "-urls"))}
    assert addresses
    assert all("127.0.0.1" in value for value in addresses.values()), addresses


@EACH
def test_every_file_belongs_to_the_cluster(name: str) -> None:
    spec = ALL[name]({})
    paths = [value for value in flags_of(spec).values() if value.startswith("/")]
    assert paths
    assert all(Path(path).is_relative_to(LAYOUT.folder) for path in [*paths, *map(str, spec.files)])


@EACH
def test_one_s_own_flags_win_and_are_told(name: str) -> None:
    flag = next(iter(flags_of(ALL[name]({}))))
    spec = ALL[name]({flag: "mine", "v": "4"})
    assert (flags_of(spec)[flag], flags_of(spec)["v"]) == ("mine", "4")
    assert f"{name} --{flag}=mine: set by the scenario" in spec.deviations
    assert f"{name} --v=4: set by the scenario" in spec.deviations


@EACH
def test_a_deviation_names_component_flag_and_reason(name: str) -> None:
    spec = ALL[name]({"v": "4"})
    flags = flags_of(spec)
    for deviation in spec.deviations:
        match = re.fullmatch(rf"{name} --([a-z-]+)(=[^ ]*| left out): .+", deviation)
        assert match is not None, deviation
        assert (match[1] in flags) == (match[2] != " left out")


def test_a_changed_flag_that_one_sets_oneself_is_told_once() -> None:
    spec = apiserver({"anonymous-auth": "true"})
    assert [line for line in spec.deviations if "anonymous-auth" in line] == [
        "kube-apiserver --anonymous-auth=true: set by the scenario"
    ]


# --- etcd ----------------------------------------------------------------------------------------------------


def test_etcd_lets_in_nobody_without_a_certificate_and_syncs() -> None:
    spec = etcd()
    flags = flags_of(spec)
    assert (flags["client-cert-auth"], flags["peer-client-cert-auth"]) == ("true", "true")
    assert flags["listen-client-urls"] == flags["advertise-client-urls"] == "https://127.0.0.1:2379"
    assert flags["initial-cluster"] == "planebench=https://127.0.0.1:2380"
    assert flags["trusted-ca-file"] == "/c/pki/etcd/ca.crt"
    assert flags["quota-backend-bytes"] == str(8 << 30)
    assert "unsafe-no-fsync" not in flags
    assert spec.ports == (2379, 2380)
    assert spec.ready.endpoint.url == "https://127.0.0.1:2379/readyz"
    assert spec.ready.endpoint.identity == ETCD_CLIENT
    assert spec.ready.endpoint.ca == LAYOUT.certificate("etcd/ca")
    assert [line.split(":")[0] for line in spec.deviations] == [
        "etcd --listen-metrics-urls left out",
        f"etcd --quota-backend-bytes={8 << 30}",
    ]


# --- kube-apiserver ------------------------------------------------------------------------------------------


def test_the_api_server_is_kubeadm_s() -> None:
    flags = flags_of(apiserver())
    assert flags["authorization-mode"] == "Node,RBAC"
    assert flags["enable-admission-plugins"] == "NodeRestriction"
    assert flags["etcd-servers"] == "https://127.0.0.1:2379"
    assert flags["etcd-certfile"] == "/c/pki/apiserver-etcd-client.crt"
    assert flags["requestheader-allowed-names"] == "front-proxy-client"
    assert flags["service-account-key-file"] == "/c/pki/sa.pub"


def test_the_api_server_s_deviations() -> None:
    spec = apiserver()
    flags = flags_of(spec)
    assert (flags["bind-address"], flags["anonymous-auth"]) == ("127.0.0.1", "false")
    assert [line.split(" ")[1].split("=")[0] for line in spec.deviations] == [
        "--bind-address",
        "--endpoint-reconciler-type",
        "--anonymous-auth",
        "--enable-aggregator-routing",
    ]
    assert spec.ready.endpoint.identity == ADMIN
    assert spec.metrics is not None
    assert spec.metrics.identity == OBSERVER
    assert KubeApiserver(LAYOUT, 6443, "", ADMIN, OBSERVER).url == API


# --- kube-scheduler ------------------------------------------------------------------------------------------


def test_the_scheduler_has_its_defaults() -> None:
    spec = scheduler()
    flags = flags_of(spec)
    assert "config" not in flags
    assert spec.files == {}
    assert flags["kubeconfig"] == flags["authentication-kubeconfig"] == "/c/kubeconfigs/scheduler.conf"
    assert (flags["leader-elect"], flags["secure-port"]) == ("false", "10259")


def test_the_scheduler_s_limits_are_a_configuration_file() -> None:
    spec = scheduler(limits=ClientLimits(1000.0, 2000))
    path = LAYOUT.configuration("kube-scheduler")
    assert flags_of(spec)["config"] == str(path)
    configuration = json.loads(spec.files[path])
    assert configuration["kind"] == "KubeSchedulerConfiguration"
    assert configuration["clientConnection"] == {
        "kubeconfig": "/c/kubeconfigs/scheduler.conf",
        "qps": 1000.0,
        "burst": 2000,
    }
    assert configuration["leaderElection"] == {"leaderElect": False}
    assert f"kube-scheduler --config={path}: client limits of 1000 requests/s, burst 2000" in spec.deviations


def test_limits_and_a_configuration_of_one_s_own_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="kube-scheduler: client limits and the flag config exclude each other"):
        scheduler({"config": "/mine.yaml"}, ClientLimits(1000.0, 2000))
    spec = scheduler({"config": "/mine.yaml"})
    assert flags_of(spec)["config"] == "/mine.yaml"
    assert spec.files == {}


# --- kube-controller-manager ---------------------------------------------------------------------------------


def test_the_controller_manager_has_its_defaults() -> None:
    spec = controller_manager()
    flags = flags_of(spec)
    assert "kube-api-qps" not in flags
    assert flags["controllers"] == "*,bootstrapsigner,tokencleaner"
    assert flags["use-service-account-credentials"] == "true"
    assert flags["root-ca-file"] == flags["client-ca-file"] == "/c/pki/ca.crt"
    assert spec.ready.endpoint.url == f"{API}/api/v1/namespaces/default/serviceaccounts/default"
    assert spec.ready.endpoint.identity == ADMIN


def test_the_controller_manager_s_limits_are_flags() -> None:
    spec = controller_manager(limits=ClientLimits(200.5, 300))
    flags = flags_of(spec)
    assert (flags["kube-api-qps"], flags["kube-api-burst"]) == ("200.5", "300")
    assert any("--kube-api-qps=200.5" in line for line in spec.deviations)


# --- kwok ----------------------------------------------------------------------------------------------------


def documents(spec: ProcessSpec) -> list[dict[str, object]]:
    (content,) = spec.files.values()
    return [json.loads(document) for document in content.split("\n---\n")]


def test_kwok_s_file_has_every_parallelism_and_all_stages() -> None:
    """It gives none a default, and a zero aborts its start."""
    spec = Kwok(
        LAYOUT, "kwok", 1, [{"kind": "Stage", "a": "---"}, {"kind": "Stage"}], Parallelism(pod_stages=32)
    ).spec()
    configuration, *stages = documents(spec)
    assert stages == [{"kind": "Stage", "a": "---"}, {"kind": "Stage"}]
    assert configuration["options"] == {
        "podPlayStageParallelism": 32,
        "nodePlayStageParallelism": 8,
        "nodeLeaseParallelism": 8,
        "podsOnNodeSyncParallelism": 4,
        "enablePodsOnNodeSyncStreamWatch": True,
    }


def test_kwok_manages_planebench_s_nodes_only() -> None:
    flags = flags_of(kwok())
    assert flags["manage-nodes-with-label-selector"] == "planebench.dev/simulator=kwok"
    assert flags["manage-all-nodes"] == "false"
    assert flags["node-lease-duration-seconds"] == "40"
    assert flags["config"] == "/c/config/kwok.yaml"
    assert kwok().deviations == ()


def test_several_kwoks_have_nodes_of_their_own() -> None:
    specs = [Kwok(LAYOUT, "kwok", 10247, [], member=Member(number, 2)).spec() for number in (1, 2)]
    assert [(spec.name, spec.component) for spec in specs] == [("kwok-1", "kwok"), ("kwok-2", "kwok")]
    first, second = map(flags_of, specs)
    label = "manage-nodes-with-label-selector"
    assert (first[label], second[label]) == (
        "planebench.dev/simulator in (kwok, kwok-1)",
        "planebench.dev/simulator=kwok-2",
    ), "nodes without a number are the first one's"
    assert (first["kubeconfig"], first["config"]) == ("/c/kubeconfigs/kwok-1.conf", "/c/config/kwok-1.yaml")
    assert first["tls-cert-file"] == second["tls-cert-file"]


def test_several_kwoks_go_by_their_names() -> None:
    spec = Kwok(LAYOUT, "kwok-2", 10247, [], flags={"v": "1"}).spec()
    assert (spec.name, spec.component) == ("kwok-2", "kwok")
    assert flags_of(spec)["kubeconfig"] == "/c/kubeconfigs/kwok-2.conf"
    assert spec.deviations == ("kwok-2 --v=1: set by the scenario",)


# --- files ---------------------------------------------------------------------------------------------------


def test_the_layout_has_kubeadm_s_names() -> None:
    assert str(LAYOUT.certificate("etcd/server")) == "/c/pki/etcd/server.crt"
    assert str(LAYOUT.key("apiserver")) == "/c/pki/apiserver.key"
    assert LAYOUT.ca == LAYOUT.certificate("ca")
    assert str(LAYOUT.kubeconfig("admin")) == "/c/kubeconfigs/admin.conf"
    assert str(LAYOUT.etcd_data) == "/c/etcd"


def test_a_scheduler_configuration_is_completed() -> None:
    given = {"profiles": [{"schedulerName": "default-scheduler"}], "clientConnection": {"contentType": "x"}}
    spec = KubeScheduler(LAYOUT, 10259, OBSERVER, ClientLimits(7, 9), {}, given).spec()
    (text,) = spec.files.values()
    written = json.loads(text)
    assert written["profiles"] == given["profiles"]
    assert written["kind"] == "KubeSchedulerConfiguration"
    connection = written["clientConnection"]
    assert (connection["contentType"], connection["qps"], connection["burst"]) == ("x", 7, 9)
    assert "scheduler" in connection["kubeconfig"]
    assert any("profiles" in line and "as the scenario says" in line for line in spec.deviations)
    with pytest.raises(UsageError, match="a configuration and the flag config exclude each other"):
        KubeScheduler(LAYOUT, 10259, OBSERVER, None, {"config": "f"}, given).spec()


# --- versions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v3.6.5", "v3.7.3", "v3.6.0-rc.1", "unknown"])
def test_etcd_s_flags_are_those_of_today(version: str) -> None:
    flags = flags_of(Etcd(LAYOUT, 2379, 2380, ETCD_CLIENT, version=version).spec())
    assert flags["feature-gates"] == "InitialCorruptCheck=true"
    assert flags["watch-progress-notify-interval"] == "5s"


def test_etcd_before_3_6_gets_the_flags_that_it_knows() -> None:
    flags = flags_of(Etcd(LAYOUT, 2379, 2380, ETCD_CLIENT, version="v3.5.21").spec())
    assert flags["experimental-initial-corrupt-check"] == "true"
    assert flags["experimental-watch-progress-notify-interval"] == "5s"
    assert flags.keys().isdisjoint({"feature-gates", "watch-progress-notify-interval"})


def played(version: str, *steps: dict[str, object]) -> dict[str, object]:
    """The stage's spec that a version of KWOK is given."""
    stage = {"kind": "Stage", "metadata": {"name": "a"}, "spec": {"selector": {}, "steps": list(steps)}}
    _, given = documents(Kwok(LAYOUT, "kwok", 1, [stage], version=version).spec())
    spec = given["spec"]
    assert isinstance(spec, dict)
    return spec


def test_kwok_before_0_8_gets_stages_that_it_knows() -> None:
    patch = {
        "type": "merge",
        "template": "{{ with NodeIPsWith .spec.nodeName }}a{{ end }}{{ with PodIPsWith 1 (b) }}",
    }
    assert played("v0.8.0", {"patch": patch})["steps"] == [{"patch": patch}]
    assert played("unknown", {"patch": patch})["steps"] == [{"patch": patch}]
    older = "{{ with list (NodeIPWith .spec.nodeName) }}a{{ end }}{{ with list (PodIPWith 1 (b)) }}"
    assert played("v0.7.0", {"patch": patch}) == {
        "selector": {},
        "next": {"patches": [{"type": "merge", "template": older}]},
    }
    assert played("v0.7.0", {"delete": True})["next"] == {"delete": True}


def test_steps_that_kwok_before_0_8_cannot_play_are_refused() -> None:
    with pytest.raises(UsageError, match=r"kwok v0\.7\.0: the stage a has steps that need kwok 0\.8\.0"):
        played("v0.7.0", {"delete": True}, {"patch": {"template": ""}})


# --- several members, a load balancer, a proxy -----------------------------------------------------------------


def values(spec: ProcessSpec) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=", 1) for argument in spec.arguments)


def test_members_of_etcd_know_one_another_and_keep_their_data_apart() -> None:
    cluster = {"etcd-1": 1, "etcd-2": 2, "etcd-3": 3}
    specs = [Etcd(LAYOUT, 10, n, ETCD_CLIENT, member=Member(n, 3), cluster=cluster).spec() for n in (1, 2, 3)]
    assert [spec.name for spec in specs] == list(cluster)
    assert {spec.component for spec in specs} == {"etcd"}
    told = values(specs[1])
    assert told["name"] == "etcd-2"
    assert told["initial-cluster"] == (
        "etcd-1=https://127.0.0.1:1,etcd-2=https://127.0.0.1:2,etcd-3=https://127.0.0.1:3"
    )
    assert len({values(spec)["data-dir"] for spec in specs}) == 3


def test_several_members_elect_a_leader_and_have_a_host_name_each() -> None:
    member = Member(2, 2)
    specs = [
        KubeScheduler(LAYOUT, 1, OBSERVER, member=member).spec(),
        KubeControllerManager(LAYOUT, 1, API, ADMIN, OBSERVER, member=member).spec(),
    ]
    for spec in specs:
        assert values(spec)["leader-elect"] == "true"
        assert spec.name == spec.hostname == f"{spec.component}-2"
        assert values(spec)["kubeconfig"].endswith("-2.conf")
        assert not any("leader-elect" in line for line in spec.deviations)
    assert not scheduler().hostname


def test_a_configuration_s_leader_election_holds_for_several_schedulers() -> None:
    wanted = {"leaderElection": {"leaseDuration": "5s", "renewDeadline": "3s", "retryPeriod": "1s"}}
    for member, elects in ((Member(1, 2), True), (ALONE, False)):
        spec = KubeScheduler(LAYOUT, 1, OBSERVER, configuration=wanted, member=member).spec()
        (content,) = spec.files.values()
        election = json.loads(content)["leaderElection"]
        assert election["leaderElect"] is elects
        assert ("leaseDuration" in election) is elects


def test_the_balancer_is_etcd_s_gateway() -> None:
    spec = Balancer(LAYOUT, 6443, (1, 2), ADMIN).spec()
    assert spec.arguments[:2] == ("gateway", "start")
    assert "--endpoints=127.0.0.1:1,127.0.0.1:2" in spec.arguments
    assert (spec.component, spec.binary) == ("load-balancer", "etcd")


def test_the_proxy_listens_for_each_link_on_loopback_and_tells_that_it_is_there() -> None:
    links = [
        Link("kube-apiserver", "kube-apiserver", "etcd", 10, 20),
        Link("load", "load", "kube-apiserver", 11, 21),
    ]
    spec = Toxiproxy(LAYOUT, 8474, links, seed=7).spec()
    (content,) = spec.files.values()
    assert json.loads(content) == [
        {"name": "kube-apiserver-etcd", "listen": "127.0.0.1:10", "upstream": "127.0.0.1:20", "enabled": True},
        {"name": "load-kube-apiserver", "listen": "127.0.0.1:11", "upstream": "127.0.0.1:21", "enabled": True},
    ]
    assert {"-host=127.0.0.1", "-port=8474", "-seed=7"} <= set(spec.arguments)
    assert spec.role is Role.HARNESS
    assert len(spec.deviations) == 2
