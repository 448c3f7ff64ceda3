"""Control planes as data: what to install and start, what the nodes look like, what to create and to watch for.

A plane is a folder with a ``plane.yaml`` and the files it names. Those in this package go by their folder's name;
any other folder goes by its path.
"""

from planebench.planes.plane import (
    Change,
    Companion,
    Convergence,
    Figure,
    Limit,
    ManifestFile,
    Milestone,
    Nodes,
    Plane,
    Process,
    Reach,
    Ready,
    Seen,
    Service,
    Setting,
    Simulator,
    User,
    Watch,
    Workload,
    builtin_names,
    load_plane,
    read_plane,
)

__all__ = [
    "Change",
    "Companion",
    "Convergence",
    "Figure",
    "Limit",
    "ManifestFile",
    "Milestone",
    "Nodes",
    "Plane",
    "Process",
    "Reach",
    "Ready",
    "Seen",
    "Service",
    "Setting",
    "Simulator",
    "User",
    "Watch",
    "Workload",
    "builtin_names",
    "load_plane",
    "read_plane",
]
