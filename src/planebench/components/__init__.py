"""What each component is started with: flags, files, ports, probes. Nothing here starts anything.

The flags are kubeadm's, from the sources of v1.37.2, with changes that each carry their reason; what a scenario
sets on top is a deviation, too, and all of them are listed in the run's environment.
"""

from planebench.components.audit import Audit
from planebench.components.balancer import Balancer
from planebench.components.etcd import Etcd
from planebench.components.kube_apiserver import KubeApiserver
from planebench.components.kube_controller_manager import KubeControllerManager
from planebench.components.kube_scheduler import KubeScheduler
from planebench.components.kwok import Kwok
from planebench.components.layout import Layout
from planebench.components.process import ALONE, ClientLimits, Member, Probe, ProcessSpec
from planebench.components.toxiproxy import Link, Toxiproxy

__all__ = [
    "ALONE",
    "Audit",
    "Balancer",
    "ClientLimits",
    "Etcd",
    "KubeApiserver",
    "KubeControllerManager",
    "KubeScheduler",
    "Kwok",
    "Layout",
    "Link",
    "Member",
    "Probe",
    "ProcessSpec",
    "Toxiproxy",
]
