"""The ``planebench`` command, also as ``python -m planebench``.

It is interruptible from the first moment on: what it imports takes half a second.
"""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """The command; a signal that asks it to end while it is still being read ends it with a word, and code 130."""
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # what nohup has set aside stays so
                signal.signal(number, signal.default_int_handler)
        from planebench.cli import main as command

        command()
    except KeyboardInterrupt:
        print("planebench: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        # CPython ends by SIGINT, whatever the exit code, after an interrupt has once passed an exec of text, as in
        # dataclasses while they are imported; the next such exec makes it forget that.
        exec("")  # noqa: S102


if __name__ == "__main__":
    main()
