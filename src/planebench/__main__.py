"""``python -m planebench`` is the ``planebench`` command."""

from planebench.cli import main

main()
