"""A command in namespaces of its own: network, processes, mounts. All that it starts ends with it.

Nothing of the machine is touched, and no privilege is needed where the kernel lets users make user namespaces.
"""

import shutil
import subprocess
from functools import cache

_SETUP = """
mount -t tmpfs none /run && mount -t tmpfs -o mode=1777 none /dev/shm || exit 70
"$@"
exit $?
"""
"""The shell stays, as the first process, and collects the processes whose parents have ended."""


def privately(*command: str) -> list[str]:
    """Return a command line that runs a command in namespaces of its own, as their root."""
    # Killed with whatever started it, also if that was killed.
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--map-root-user", "--net", "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child"),
        *("sh", "-c", _SETUP, "sh", *command),
    ]


@cache
def why_not() -> str:
    """Return why this machine can not run a cluster of network namespaces; empty if it can."""
    for program in ("setpriv", "unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"there is no program {program} (Debian: util-linux, iproute2)"
    tried = subprocess.run(
        privately("ip", "link", "add", "bridge", "type", "bridge"),
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return tried.stderr.strip() if tried.returncode else ""
