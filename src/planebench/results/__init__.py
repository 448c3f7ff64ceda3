"""The run folder: written as a run goes, read by every analysis.

``planebench.results.engine_files`` and ``planebench.results.tables`` hold its tables; they load polars, so they
are imported where they are needed only.
"""

from planebench.results.document import Result
from planebench.results.folder import RunFolder, RunRecord

__all__ = ["Result", "RunFolder", "RunRecord"]
