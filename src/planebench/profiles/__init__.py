"""Profiles in pprof's format, offline: read, summed up by package, folded for a flame graph."""

from planebench.profiles.packages import PackageShare, by_package, gc_share, package_of
from planebench.profiles.pprof import Profile, ProfileError, decode, folded

__all__ = [
    "PackageShare",
    "Profile",
    "ProfileError",
    "by_package",
    "decode",
    "folded",
    "gc_share",
    "package_of",
]
