"""Whose cost it is: every request and CPU second belongs to subject, simulator or harness."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from audited_run import LOAD, AuditLog, audited
from rich.console import Console
from synthetic_run import pods

from planebench import slis
from planebench.model import Role
from planebench.planes import load_plane
from planebench.report import terminal
from planebench.results.document import Result
from planebench.slis.cost import role_of

ADMIN = "kubernetes-admin"


@pytest.mark.parametrize(
    ("user", "role", "component"),
    [
        ("planebench:load", Role.HARNESS, "planebench"),
        ("planebench:observer", Role.HARNESS, "planebench"),
        ("kubernetes-admin", Role.HARNESS, "planebench"),
        ("planebench:simulator", Role.SIMULATOR, "kwok"),
        ("system:kube-scheduler", Role.SUBJECT, "kube-scheduler"),
        ("system:kube-controller-manager", Role.SUBJECT, "kube-controller-manager"),
        ("system:serviceaccount:kube-system:job-controller", Role.SUBJECT, "kube-controller-manager"),
        ("system:apiserver", Role.SUBJECT, "kube-apiserver"),
        ("somebody", Role.SUBJECT, "somebody"),
    ],
)
def test_a_user_s_role(user: str, role: Role, component: str) -> None:
    assert role_of(user, load_plane("core")) == (role, component)


@pytest.mark.parametrize(
    ("account", "role", "component"),
    [
        ("kubevirt-handler", Role.SIMULATOR, "kwok"),
        ("kubevirt-controller", Role.SUBJECT, "virt-controller"),
        ("kubevirt-apiserver", Role.SUBJECT, "virt-api"),
    ],
)
def test_the_simulator_acts_as_kubevirt_s_handler(account: str, role: Role, component: str) -> None:
    user = f"system:serviceaccount:kubevirt:{account}"
    assert role_of(user, load_plane("kubevirt")) == (role, component)


def evaluated(tmp_path: Path, log: AuditLog | None) -> Result:
    run, _ = pods(3)
    for t_s in (0.0, 200.0):
        run.sample(t_s, "kube-scheduler", "kube-scheduler", "subject", t_s / 20)
        run.sample(t_s, "kwok", "kwok", "simulator", t_s / 100)
        run.sample(t_s, "load-engine", "planebench", "harness", t_s / 50)
    folder = run.write(tmp_path / "run")
    if log is not None:
        log.write(folder)
    return slis.evaluate(folder)


def test_requests_belong_to_who_sent_them(tmp_path: Path) -> None:
    run, _ = pods(3)
    log = audited(run)
    log.add(20, 20.2, ADMIN, "list", "pods", code=429)
    log.add(20, 20.0, LOAD, "watch", "pods", stage="ResponseStarted")
    log.add(20, 90.0, LOAD, "watch", "pods")
    log.add(1, 2, ADMIN, "create", "nodes")  # before the stages
    log.add(20, 30, "planebench:observer", "get", "")  # no object: a profile
    cost = evaluated(tmp_path, log).cost
    assert cost is not None
    subject, simulator, harness = cost.roles
    assert [role.role for role in cost.roles] == [Role.SUBJECT, Role.SIMULATOR, Role.HARNESS]
    assert (subject.requests, simulator.requests, harness.requests) == (100, 100, 101)
    assert (subject.watches, harness.watches, harness.failed) == (0, 1, 1)
    assert subject.request_s == pytest.approx(0.1)
    assert harness.request_s == pytest.approx(0.3)
    assert harness.bytes is None, "the kernel did not tell"
    api_cpu_s = sum(role.apiserver_cpu_s or 0 for role in cost.roles)
    assert api_cpu_s == pytest.approx(13.5, abs=0.01), "all of the API server's in the stages"
    assert harness.apiserver_cpu_s == pytest.approx(api_cpu_s * 3 / 5, abs=0.01)
    assert cost.users[0].user == ADMIN
    assert {user.user: user.user_agents for user in cost.users}["system:kube-scheduler"] == ("kube-scheduler/v1",)
    assert cost.clock_error_s == pytest.approx(1.2e-6)


def test_traffic_is_of_the_stages_and_by_role(tmp_path: Path) -> None:
    run, _ = pods(3)
    for t_s, sent, got in (
        (0.0, 1, 2),
        (9.0, 10, 20),
        (100.0, 500, 5000),
        (210.0, 700, 9000),
        (300.0, 9999, 99999),
    ):
        run.carried(t_s, "kube-scheduler", "kube-scheduler", "subject", "kube-apiserver", sent, got)
        run.carried(t_s, "kube-apiserver", "kube-apiserver", "subject", "etcd", 2 * sent, 2 * got)
    run.carried(100.0, "load-engine", "planebench", "harness", "kube-apiserver", 7, 8)
    cost = slis.evaluate(run.write(tmp_path / "run")).cost
    assert cost is not None
    assert [(one.component, one.peer, one.sent_bytes, one.received_bytes) for one in cost.traffic] == [
        ("kube-apiserver", "etcd", 1380, 17960),
        ("kube-scheduler", "kube-apiserver", 690, 8980),
        ("planebench", "kube-apiserver", 7, 8),
    ]
    assert [role.bytes for role in cost.roles] == [690 + 8980, None, 15], "etcd is behind the API server"
    assert "Traffic with the API server: subject 9.4KiB, harness 15B" in shown(
        slis.evaluate(tmp_path / "run"), 120
    )


def test_user_agents_that_two_roles_share_are_told(tmp_path: Path) -> None:
    log = AuditLog()
    log.add(11, 12, ADMIN, "get", "pods", agent="Python/3.13 aiohttp")
    log.add(11, 12, "system:kube-scheduler", "get", "pods", agent="Python/3.13 x")
    cost = evaluated(tmp_path, log).cost
    assert cost is not None
    assert "user agent Python/3.13 is used by harness, subject" in cost.notes


def test_without_an_audit_log_cpu_is_told_alone(tmp_path: Path) -> None:
    result = evaluated(tmp_path, None)
    assert result.cost is not None and not result.cost.audited
    assert [role.requests for role in result.cost.roles] == [None] * 3
    assert [role.cpu_s for role in result.cost.roles] == pytest.approx([20.25, 1.35, 2.7], abs=0.01)
    assert "CPU in the stages: subject 20.2 s, simulator 1.4 s, harness 2.7 s" in " ".join(
        shown(result, 120).split()
    )


def shown(result: Result, width: int) -> str:
    console = Console(width=width, force_terminal=False, file=io.StringIO())
    console.print(terminal.render(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary_fits_80_columns_and_tells_all_three(tmp_path: Path) -> None:
    run, _ = pods(3)
    text = shown(evaluated(tmp_path, audited(run)), 80)
    assert max(map(len, text.splitlines())) <= 80
    for line in ("subject", "simulator", "harness"):
        assert any(found.split()[:1] == [line] for found in text.splitlines()), line
    assert "kwok: until patch pods/status" in text
    assert "At p50, of" in text and "At p99, of" in text
