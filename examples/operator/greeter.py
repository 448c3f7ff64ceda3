"""An operator in Python (kopf and the official client): for each ConfigMap with the label ``greet``, a pod.

KUBECONFIG=... kopf run --standalone --all-namespaces greeter.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf
from kubernetes import client, config


@kopf.on.startup()
def log_in(**_: Any) -> None:
    config.load_kube_config()


@kopf.on.create("configmaps", labels={"greet": kopf.PRESENT})
def greet(name: str, namespace: str, body: Mapping[str, Any], **_: Any) -> None:
    """The pod belongs to the ConfigMap: Kubernetes' garbage collector takes it along."""
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"greets": body["data"]["whom"]}},
        "spec": {"containers": [{"name": "greeter", "image": "registry.k8s.io/pause:3.10.1"}]},
    }
    kopf.append_owner_reference(pod)
    try:
        client.CoreV1Api().create_namespaced_pod(namespace, pod)
    except client.ApiException as error:
        if error.status != 409:  # an earlier try has made it
            raise
