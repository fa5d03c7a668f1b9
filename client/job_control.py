"""Ctrl-Z: back to the shell, as from other programs in a terminal."""

import os
import signal


def suspend() -> None:
    """Stop until the shell continues this job (`fg`), with what runs in the same job; do nothing if there is no shell.

    A job that a shell controls has a process group of its own. The session's first group, such as that of a window
    which runs nothing else, would stand still for ever.
    """
    if os.getpgrp() != os.getsid(0):
        os.kill(0, signal.SIGTSTP)
