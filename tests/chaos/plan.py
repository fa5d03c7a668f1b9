"""What will happen in a run, all of it drawn from the seed before the run begins."""

import random
from dataclasses import dataclass, field

from tests.chaos.command_plan import CommandPlan, draw_commands
from tests.support.udp_relay import UdpFaults

DIALECTS = (
    *("classic", "classic", "tsudoi", "tsudoi", "tcrp", "tcrp-named", "tcrp-200", "tcrp-bare-ack", "tcrp-success"),
    *("tcrp-json", "tcrp-ok", "tcrp-single", "tcrp-202"),
)
ANNOUNCING = frozenset({"tcrp-json", "tcrp-ok", "tcrp-single", "tcrp-202"})
"""Dialects that announce their UDP port by TCP, so that a gateway would send past a relay."""
SEALED = "tsudoi-2"
"""Version 2 of the protocol; one client in four speaks it."""
LEAVING = frozenset({SEALED, "tsudoi", "tcrp-json", "tcrp-ok", "tcrp-bare-ack", "tcrp-success", "tcrp-single"})

FAULTS = ("kill", "freeze", "drain", "cut", "stall")
OF_CLIENTS = ("enter", "say", "rebind", "move", "roam", "leave")
"""Actions that are no faults."""

PROFILES = ("broker", "gateways", "pair", "cuts", "freezes", "weather", "everything", "one process")
"""What a run is mostly about; each seed takes the next."""


@dataclass(frozen=True, slots=True)
class ClientPlan:
    id: int
    dialect: str
    room: int
    gateway: int
    host: bool
    enters_at: float
    """0: before the first action."""
    speaks: bool
    """False: it only receives, once its address is known."""

    @property
    def name(self) -> str:
        return f"ユーザー{self.id}" if self.id % 5 == 3 else f"user{self.id}"


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do at a time after the start.

    say, rebind, move, roam, leave: of a client, `other` is the gateway to go to.
    kill, freeze, drain, cut, stall: of the broker (target -1) or a gateway, for `lasts` seconds; 0: to the end.
    """

    at: float
    kind: str
    target: int
    other: int = 0
    lasts: float = 0.0
    """How long until it is undone."""

    def __str__(self) -> str:
        who = f"client {self.target}"
        if self.kind in FAULTS:
            who = "broker" if self.target < 0 else f"gateway {self.target}"
            who += "'s link" if self.kind in ("cut", "stall") else ""
        where = f" to gateway {self.other}" if self.kind in ("move", "roam") else ""
        span = f" for {self.lasts:.2f} s" if self.lasts else " for good" if self.kind in ("kill", "drain") else ""
        return f"{self.at:6.2f} s  {self.kind} {who}{where}{span}"


@dataclass(slots=True)
class Plan:
    seed: int
    profile: str
    names: tuple[str, ...]
    rooms: int
    lasts: float
    udp: UdpFaults | None
    clients: list[ClientPlan] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    commands: CommandPlan = field(default_factory=CommandPlan)

    def room_name(self, number: int) -> str:
        return f"部屋{number}" if number % 2 else f"room{number}"

    @property
    def in_one_process(self) -> bool:
        """Say whether one process is gateway and broker, as in the service of one command."""
        return self.profile == "one process"

    def __str__(self) -> str:
        udp = f", relay {self.udp}" if self.udp else ""
        head = (
            f"seed {self.seed} ({self.profile}): gateways {list(self.names)}, {self.rooms} rooms,"
            f" {len(self.clients)} clients{udp}"
        )
        quiet = [str(action) for action in self.actions if action.kind != "say"]
        return "\n".join([head, *quiet, *map(str, self.commands.steps)])


def draw(seed: int, lasts: float) -> Plan:
    dice = random.Random(f"tsudoi {seed}")
    profile = PROFILES[seed % len(PROFILES)]
    names: tuple[str, ...] = ("", "") if dice.random() < 0.5 else ("", "", "")
    if profile == "pair" or (profile == "everything" and dice.random() < 0.5):
        names = ("one", "one") if dice.random() < 0.5 else ("one", "one", "")
    elif dice.random() < 0.3:
        names = tuple(f"g{number}" for number in range(len(names)))
    if profile == "one process":
        names = ("",)
    wide = dice.random() < 0.25
    udp = None
    if profile == "weather":
        udp = UdpFaults(dice.uniform(0, 0.1), dice.uniform(0, 0.1), dice.uniform(0, 0.2), dice.uniform(0.01, 0.2))
    plan = Plan(seed, profile, names, 20 if wide else dice.randint(2, 5), lasts, udp)
    draw_clients(plan, dice, wide, sealed=True)
    draw_actions(plan, dice)
    _draw_faults(plan, dice)
    plan.actions.sort(key=lambda action: action.at)
    # With dice of its own, so that all else is as it was without.
    plan.commands = draw_commands(random.Random(f"tsudoi {seed} commands"), len(names), lasts)
    return plan


def draw_clients(plan: Plan, dice: random.Random, wide: bool, sealed: bool = False) -> None:
    """Add clients to a plan; `wide`: few in each of many rooms; `sealed`: some of version 2."""
    dialects = [name for name in DIALECTS if not (plan.udp and name in ANNOUNCING)]
    for room in range(plan.rooms):
        for place in range(3 if wide else dice.randint(3, 6)):
            late = place > 1 and dice.random() < 0.2
            plan.clients.append(
                ClientPlan(
                    len(plan.clients),
                    SEALED if sealed and dice.random() < 0.25 else dice.choice(dialects),
                    room,
                    dice.randrange(len(plan.names)),
                    place == 0,
                    dice.uniform(0.2, plan.lasts - 0.5) if late else 0.0,
                    place == 0 or dice.random() < 0.7,
                )
            )


def draw_actions(plan: Plan, dice: random.Random) -> None:
    """Draw bursts and pauses: some bugs show only when a room falls silent, others only when it does not."""
    for client in plan.clients:
        at = client.enters_at + dice.uniform(0.05, 0.3)
        rate = dice.choice((2.0, 8.0, 20.0)) * (0.5 if plan.rooms > 10 else 1.0)
        stays_quiet_from = dice.uniform(1.0, plan.lasts) if dice.random() < 0.3 else plan.lasts
        while client.speaks and at < stays_quiet_from:
            plan.actions.append(Action(at, "say", client.id))
            at += dice.expovariate(rate)
        busy = plan.profile in ("freezes", "everything", "weather")
        for _ in range(dice.randint(0, 2 if busy else 1)):
            kind = dice.choice(("rebind", "move", "move", "roam"))
            gateway = dice.randrange(len(plan.names))
            if client.speaks:
                plan.actions.append(Action(dice.uniform(client.enters_at + 0.3, plan.lasts), kind, client.id, gateway))
        if client.dialect in LEAVING and dice.random() < (0.08 if client.host else 0.15):
            plan.actions.append(Action(dice.uniform(client.enters_at + 0.5, plan.lasts), "leave", client.id))


_KINDS: dict[str, tuple[str, ...]] = {
    "broker": ("broker kill", "broker kill", "broker freeze"),
    "gateways": ("kill", "kill", "drain"),
    "pair": ("kill", "kill", "freeze", "drain", "cut"),
    "cuts": ("cut", "stall", "cut news", "stall news", "cut commands"),
    "freezes": ("freeze", "freeze", "broker freeze"),
    "one process": ("kill", "kill", "freeze", "drain"),
    "weather": ("kill", "broker kill", "cut", "rest"),
    "everything": (
        *("kill", "freeze", "drain", "cut", "stall"),
        *("cut news", "cut commands", "broker kill", "broker freeze"),
    ),
}


def _draw_faults(plan: Plan, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 5 if plan.profile == "everything" else 3)):
        kind = dice.choice(_KINDS[plan.profile])
        at = dice.uniform(0.3, plan.lasts - 0.3)
        gateway = dice.randrange(len(plan.names))
        short = dice.random() < 0.4
        if kind == "rest":
            continue
        if kind.startswith("broker"):
            lasts = dice.uniform(0.05, 0.4) if short else dice.uniform(0.5, 3.5)
            plan.actions.append(Action(at, kind.removeprefix("broker "), -1, 0, lasts))
        elif kind in ("kill", "drain"):
            # Gateway 0 always comes back, so that there is somewhere to go.
            gone = gateway > 0 and dice.random() < 0.25
            lasts = 0.0 if gone else dice.uniform(0.02, 0.3) if short else dice.uniform(0.5, 3.0)
            plan.actions.append(Action(at, kind, gateway, 0, lasts))
        elif kind == "freeze":
            plan.actions.append(
                Action(at, kind, gateway, 0, dice.uniform(0.2, 1.5) if short else dice.uniform(1.5, 4.0))
            )
        else:
            # `other`: which of the two connections, as bits: 1 commands, 2 news.
            which = {"news": 2, "commands": 1}.get(kind.rpartition(" ")[2], 3)
            lasts = dice.uniform(0.1, 1.5) if short else dice.uniform(1.5, 4.0)
            if dice.random() < 0.1:
                lasts = 10.0
            plan.actions.append(Action(at, kind.partition(" ")[0], gateway, which, lasts))
