"""``python -m planebench.load``: the engine's process, started by :class:`planebench.load.Engine`."""

import sys

from planebench.load.process import main

if __name__ == "__main__":
    sys.exit(main())
