"""The command `bicorpus` as a process: it ends without tearing the interpreter down."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys


def command() -> None:
    """Run the command line and leave the process.

    Arrow's threads let go of the files that they read, which are Python objects, some time after a read has returned.
    A thread that does so while the interpreter shuts down aborts the process (apache/arrow issues 34314 and 50482).
    So the process leaves after the exit functions of all libraries, with the exit code of the command, and before
    the interpreter is torn down.
    """
    code = 1  # of an exception that nothing handles

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a closed pipe
                stream.flush()
        os._exit(code)

    atexit.register(leave)  # before others are, so that it is called after them
    from pipeline.cli import main

    try:
        main(prog_name="bicorpus")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
