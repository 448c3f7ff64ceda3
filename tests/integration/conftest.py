"""Fixtures are in modules of their own, where they are typed."""

from control_planes import admin, cluster, kubevirt

__all__ = ["admin", "cluster", "kubevirt"]
