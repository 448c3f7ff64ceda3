"""A made-up run of pods in which two components are killed: every time is chosen, so every figure is known."""

from __future__ import annotations

from collections.abc import Mapping

from synthetic_run import SyntheticRun

from planebench.model import Stage

SCENARIO = """
apiVersion: planebench.dev/v1
name: struck
nodes: [{count: 4}]
workload: {count: 600, objects: [{template: pod}]}
lifecycle:
  creation: {arrival: {rate: 10/s}, reads: 20/s, writes: 20/s}
faults:
  - {kind: kill, component: kube-scheduler, at: 20s, for: 2s}
  - {kind: kill, component: kube-apiserver, at: 40s, for: 2s}
slos:
  - {sli: faults.first_write, percentile: 100, max: 5s}
  - {sli: faults.first_work.kill-kube-scheduler, percentile: 100, max: 2s}
  - {sli: faults.inconsistent, max: 0}
"""
START_S = 10.0
"""Of the creation stage, which is 60 s of load and 10 s of waiting."""
SCHEDULER_S, APISERVER_S = START_S + 20, START_S + 40
BOUND_AGAIN_S = SCHEDULER_S + 2.5
"""The scheduler's first bind after it was killed; it then binds two pods every 10 ms."""
BACK_S = APISERVER_S + 3
"""The API server answers everything that is due from here on; what is due in between is lost."""


def struck(*, overrides: Mapping[str, str] | None = None, recovers: bool = True) -> SyntheticRun:
    """Requests take 5 ms; pods are bound 10 ms after they are seen, and are up 20 ms later.

    Args:
        recovers: the API server comes back.
    """
    run = SyntheticRun(scenario_text=SCENARIO, overrides=overrides or {})
    end_s = START_S + 70
    run.phase("creation", Stage.CREATION, START_S, end_s)
    run.fault(
        "kill",
        "kube-scheduler",
        SCHEDULER_S,
        struck_s=SCHEDULER_S + 0.01,
        end_s=SCHEDULER_S + 2.01,
        ready_s=SCHEDULER_S + 2.3,
    )
    run.restart("kube-scheduler", SCHEDULER_S + 0.01, SCHEDULER_S + 2.01)
    run.fault(
        "kill",
        "kube-apiserver",
        APISERVER_S,
        struck_s=APISERVER_S + 0.05,
        end_s=APISERVER_S + 2.05,
        ready_s=BACK_S + 0.5 if recovers else None,
    )
    run.restart("kube-apiserver", APISERVER_S + 0.05, APISERVER_S + 2.05)
    run.restart("kube-controller-manager", APISERVER_S + 10.0, APISERVER_S + 10.1, asked=False)

    def lost(due_s: float) -> bool:
        return due_s >= APISERVER_S and (due_s < BACK_S or not recovers)

    def ask(verb: str, resource: str, index: int, name: str, due_s: float) -> None:
        gone = lost(due_s)
        run.request(
            "creation",
            Stage.CREATION,
            verb,
            resource,
            index,
            name,
            due_s,
            took_s=None if gone else 0.005,
            error="connection" if gone else None,
        )

    waiting = 0
    stored = []
    for index in range(600):
        due_s, name = START_S + index / 10, f"pod-{index:06d}"
        ask("create", "pods", index, name, due_s)
        if lost(due_s):
            continue
        stored.append(f"planebench-0/{name}")
        added_s = due_s + 0.004
        bound_s = added_s + 0.01
        if SCHEDULER_S < added_s < BOUND_AGAIN_S:
            bound_s = BOUND_AGAIN_S + waiting // 2 * 0.01
            waiting += 1
        pod = run.object("pods", index, name, node="node-000000")
        run.reach(pod, added=added_s, scheduled=bound_s, running=bound_s + 0.02, ready=bound_s + 0.02)
    revisions = {}
    for number in range(1200):
        canary = f"planebench-canary-{number % 32:02d}"
        due_s = START_S + number / 20
        ask("get", "configmaps", -1, canary, due_s + 0.016)
        ask("patch", "configmaps", number, canary, due_s + 0.033)
        if not lost(due_s + 0.033):
            revisions[canary] = str(number)
    for request in run.requests:
        if request["resource"] == "configmaps":
            request["namespace"] = "planebench-canary"
    cured = next(request for request in run.requests if request["due_ns"] >= BACK_S * 1e9)
    cured["attempts"] = 2
    run.consistency = {
        "t_ns": int((end_s - 1) * 1e9),
        "collections": [{"resource": "pods", "etcd": stored, "caches": [stored]}],
        "canaries": revisions,
    }
    return run
