"""Component binaries: from the user's own paths, the cache, official images, or a build from Go modules.

``resolve`` is the way in. It is synchronous and may take minutes where a build is needed: call it in a thread, or
before the event loop starts.
"""

from planebench.binaries.artifact import Artifact
from planebench.binaries.cache import Entry
from planebench.binaries.component import ComponentSpec, catalog, graphs
from planebench.binaries.keeping import export_archive, import_archive, others, prune
from planebench.binaries.progress import BuildProgress
from planebench.binaries.resolution import cached, resolve
from planebench.binaries.sources import Sources

__all__ = [
    "Artifact",
    "BuildProgress",
    "ComponentSpec",
    "Entry",
    "Sources",
    "cached",
    "catalog",
    "export_archive",
    "graphs",
    "import_archive",
    "others",
    "prune",
    "resolve",
]
