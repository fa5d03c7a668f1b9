"""What will happen in a run of several machines, all of it drawn from the seed before the run begins."""

import random
from dataclasses import dataclass, replace

from tests.chaos.command_plan import draw_commands
from tests.chaos.plan import SEALED, Action, Plan, draw_actions, draw_clients

PROFILES = ("brokers", "primary", "machines", "primary", "cuts", "freezes", "primary", "everything")
"""What a run is mostly about; each seed takes the next. `primary`: the machine with the primary is lost, and a standby
promoted, in every such run; in others it happens, too."""

_KINDS: dict[str, tuple[str, ...]] = {
    "brokers": ("kill broker", "kill broker", "freeze broker", "freeze broker", "stop broker", "kill gateway"),
    "primary": ("kill broker", "kill gateway", "freeze gateway", "cut", "rest", "rest"),
    "machines": ("power", "power", "freeze machine", "burn", "kill machine"),
    "cuts": ("cut", "cut one way", "cut", "isolate", "isolate", "cut one way"),
    "freezes": ("freeze broker", "freeze machine", "freeze gateway", "freeze database"),
    "everything": (
        *("kill broker", "freeze broker", "stop broker", "kill gateway", "freeze gateway", "stop gateway"),
        *("power", "freeze machine", "kill machine", "burn", "cut", "cut one way", "isolate"),
        *("kill database", "freeze database"),
    ),
}
_LOSSES = (
    *("burn primary", "burn primary", "burn primary", "power primary", "isolate primary", "reunite primary"),
    *("cancel primary", "terminate primary"),
)


POSTERS = 2
SEALED_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Fault(Action):
    """A fault; `kind` is `VERB PART`, `target` is the number of the broker, gateway or machine.

    post: no fault, but program `target` begins to post into room `other`.

    cut: packets from machine `target` do not reach `other`, and not the other way either; `one way`: only the first.
    isolate: no packets between a machine and all others. power: off, and on again. burn: off for good; an empty machine
    takes its place. kill machine: all its processes, and it tells its peers.
    … primary: the machine with the primary is off, isolated or burnt, and after `promotes_after` a standby is promoted.
    reunite primary: as isolate, but for a time both servers take writes and can be reached.
    cancel primary, terminate primary: no standby receives anything, the commits that wait for one are cancelled (their
    connections are terminated) as an administrator can do it, and then the machine burns.
    """

    promotes_after: float = 0.0

    def __str__(self) -> str:
        if self.kind == "post":
            return f"{self.at:6.2f} s  program {self.target} begins to post into room {self.other}"
        part = "" if self.kind in ("rest",) or self.kind.endswith("primary") else f" {self.target}"
        where = f" and {self.other}" if self.kind.startswith("cut") else ""
        promotes = f", promotion after {self.promotes_after:.2f} s" if self.kind.endswith("primary") else ""
        return f"{self.at:6.2f} s  {self.kind}{part}{where} for {self.lasts:.2f} s{promotes}"


@dataclass(slots=True)
class ClusterPlan(Plan):
    databases: int = 3
    """Machines with a PostgreSQL server, from machine 0 on."""
    brokers: int = 2
    fsync: bool = False


def draw(seed: int, lasts: float, brokers: int) -> ClusterPlan:
    """Draw a plan.

    Args:
        lasts: seconds in which faults begin; the last of them end a few seconds later.
        brokers: how many there are.
    """
    dice = random.Random(f"tsudoi cluster {seed}")
    profile = PROFILES[seed % len(PROFILES)]
    names: tuple[str, ...] = ("a", "b", "c") if dice.random() < 0.7 else ("", "", "")
    if dice.random() < 0.25:
        names = ("a", "a", "b")
    wide = dice.random() < 0.4
    plan = ClusterPlan(seed, profile, names, 20 if wide else dice.randint(2, 6), lasts, None)
    plan.databases = dice.choice((2, 3, 3))
    plan.brokers = brokers
    plan.fsync = dice.random() < 0.3
    draw_clients(plan, dice, wide)
    draw_actions(plan, dice)
    _draw_faults(plan, dice)
    _let_some_be_sealed(plan, random.Random(f"tsudoi cluster {seed} sealed"))
    for number in range(POSTERS):
        plan.actions.append(Fault(dice.uniform(0.1, 1.0), "post", number, dice.randrange(plan.rooms), lasts))
    plan.actions.sort(key=lambda action: action.at)
    plan.commands = draw_commands(random.Random(f"tsudoi cluster {seed} commands"), len(names), lasts)
    return plan


def _let_some_be_sealed(plan: ClusterPlan, dice: random.Random) -> None:
    """Let one client in four be of version 2. With dice of its own, so that all else is as it was without."""
    plan.clients = [replace(each, dialect=SEALED) if dice.random() < SEALED_SHARE else each for each in plan.clients]


def _draw_faults(plan: ClusterPlan, dice: random.Random) -> None:
    if plan.profile == "primary" or (plan.profile == "everything" and dice.random() < 0.4):
        at = dice.uniform(0.5, plan.lasts / 2)
        kind = dice.choice(_LOSSES)
        fault = Fault(at, kind, 0, 0, dice.uniform(0.5, 4.0), promotes_after=dice.uniform(0.2, 1.5))
        plan.actions.append(fault)
    for _ in range(dice.randint(3, 6) if plan.profile == "everything" else dice.randint(2, 4)):
        kind = dice.choice(_KINDS[plan.profile])
        if kind != "rest":
            plan.actions.append(_draw_fault(plan, kind, dice))


def _draw_fault(plan: ClusterPlan, kind: str, dice: random.Random) -> Fault:
    at = dice.uniform(0.3, plan.lasts - 0.3)
    short = dice.random() < 0.3
    long = dice.random() < 0.1
    lasts = dice.uniform(0.05, 0.6) if short else dice.uniform(5.0, 9.0) if long else dice.uniform(0.6, 4.5)
    machines = len(plan.names)
    target = dice.randrange(plan.brokers if kind.endswith("broker") else machines)
    if kind.endswith("database"):
        target = dice.randrange(plan.databases)
    other = dice.choice([machine for machine in range(machines) if machine != target])
    return Fault(at, kind, target, other, lasts)
