"""The network of a run: network namespaces as machines, on a bridge; cuts between them, and machines without power.

All of it is inside a private network namespace, which ends with the run (`private.py`). Packets from one machine to
another are cut by giving the other a hardware address that no machine has: they vanish without an error at either end,
as behind a broken switch, and connections stay open. The packets of the other direction go on.
"""

import os
import subprocess
import threading
from pathlib import Path

BRIDGE = "bridge"
CLIENTS = "10.77.0.1"
"""Where the clients and the run itself are: at the bridge. They reach every machine that has power."""
NETWORK = "10.77.0.0/24"
_NAMESPACES = Path("/run/netns")
_NO_MACHINE = "02:00:00:00:00:ff"


def address_of(machine: int) -> str:
    return f"10.77.0.{10 + machine}"


class Network:
    """Machines 0, 1, 2, …, each reaching all others."""

    def __init__(self, machines: int) -> None:
        self._machines = range(machines)
        self._lock = threading.Lock()
        """Held while an interface comes, goes or is told: faults are carried out in threads."""
        self._cuts: dict[tuple[int, int], int] = {}
        """(from, to) → how many faults cut it now."""
        _ip("link", "set", "lo", "up")
        _ip("link", "add", BRIDGE, "address", _hardware(None), "type", "bridge")
        _ip("address", "add", f"{CLIENTS}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for machine in self._machines:
            self.plug_in(machine)

    def inside(self, machine: int) -> tuple[str, ...]:
        """Return what stands before a command that runs on a machine."""
        return ("nsenter", f"--net={_NAMESPACES / _name(machine)}")

    def processes(self, machine: int) -> list[int]:
        """Return the ids of all processes of a machine."""
        try:
            inode = (_NAMESPACES / _name(machine)).stat().st_ino
        except OSError:
            return []
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    if os.stat(f"/proc/{entry.name}/ns/net").st_ino == inode:
                        found.append(int(entry.name))
                except OSError:
                    continue  # it has just ended
        return found

    def plug_in(self, machine: int) -> None:
        """Give a machine a new network interface, as after a start."""
        with self._lock:
            self._plug_in(machine)

    def _plug_in(self, machine: int) -> None:
        name, cable = _name(machine), f"cable{machine}"
        _ip("netns", "add", name)
        peer = ("peer", "name", "eth0", "address", _hardware(machine), "netns", name)
        _ip("link", "add", cable, "type", "veth", *peer)
        _ip("link", "set", cable, "master", BRIDGE, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "address", "add", f"{address_of(machine)}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        # Hardware addresses are fixed: nothing depends on how fast they are found, and silence looks the same for all.
        _ip("neigh", "replace", address_of(machine), "lladdr", _hardware(machine), "dev", BRIDGE)
        _ip("-n", name, "neigh", "replace", CLIENTS, "lladdr", _hardware(None), "dev", "eth0")
        for other in self._machines:
            self._direct(machine, other)

    def pull_plug(self, machine: int) -> None:
        """Take a machine off the network, also for clients, so that not even the end of a connection leaves it."""
        _ip("link", "set", f"cable{machine}", "down")

    def remove(self, machine: int) -> None:
        """Remove the interface of a machine of which all processes have ended, and all that the kernel had to send."""
        with self._lock:
            _ip("netns", "delete", _name(machine))
            subprocess.run(["ip", "link", "delete", f"cable{machine}"], check=False, capture_output=True)

    def cut(self, source: int, target: int) -> None:
        """Let no packet from one machine reach another."""
        with self._lock:
            self._cuts[source, target] = self._cuts.get((source, target), 0) + 1
            self._direct(source, target)

    def heal(self, source: int, target: int) -> None:
        """Undo one `cut`."""
        with self._lock:
            self._cuts[source, target] -= 1
            self._direct(source, target)

    def _direct(self, source: int, target: int) -> None:
        """Tell the source where the target is, or not."""
        if source == target or not (_NAMESPACES / _name(source)).exists():
            return
        hardware = _NO_MACHINE if self._cuts.get((source, target)) else _hardware(target)
        _ip("-n", _name(source), "neigh", "replace", address_of(target), "lladdr", hardware, "dev", "eth0")


def _name(machine: int) -> str:
    return f"m{machine}"


def _hardware(machine: int | None) -> str:
    return f"02:00:00:00:00:{1 if machine is None else 10 + machine:02x}"


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
