"""Component binaries: from the user's own paths, the cache, official images, or a build from Go modules.

``resolve`` is the way in. It is synchronous and may take minutes where a build is needed: call it in a thread, or
before the event loop starts.
"""

from planebench.binaries.artifact import Artifact
from planebench.binaries.component import ComponentSpec, catalog
from planebench.binaries.progress import BuildProgress
from planebench.binaries.resolution import cached, resolve
from planebench.binaries.sources import Sources

__all__ = ["Artifact", "BuildProgress", "ComponentSpec", "Sources", "cached", "catalog", "resolve"]
