"""Run a benchmark in a network namespace of its own, where no firewall of the host's takes part."""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

_INSIDE = "TSUDOI_BENCH_INSIDE"
"""Set in the process that has a network of its own."""
_SIOCSIFFLAGS, _IFF_UP, _IFF_LOOPBACK = 0x8914, 1, 8


def enter(module: str) -> bool:
    """Start `python -m MODULE` over in a namespace of its own, if that is allowed; return whether this is one."""
    if _INSIDE in os.environ:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP | _IFF_LOOPBACK))
        return True
    unshare = shutil.which("unshare")
    if unshare and not subprocess.run((unshare, "--net", "true"), capture_output=True, check=False).returncode:
        command = (unshare, "--net", sys.executable, "-m", module, *sys.argv[1:])
        os.execve(unshare, command, {**os.environ, _INSIDE: "1"})
    return False
