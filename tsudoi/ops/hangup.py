"""Decide what SIGHUP means to a service.

The kernel sends it to the programs of a terminal whose window is closed or whose connection is lost; operators send it
to a service without a terminal, so that it reads its settings again.
"""

import os
import signal


def means_stop() -> bool:
    """Return whether SIGHUP is to stop this process; ask at its start, before it handles the signal.

    That is so if it has a controlling terminal, unless it was started to outlive it: nohup ignores the signal, and a
    program inherits that.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
