"""What the members of rooms of commands do in a run: version 2 alone, with hosts that moderate, and members that leave
and come again. All of it is drawn before the run begins.
"""

import random
from dataclasses import dataclass, field, replace

KINDS = {
    **{"say": 10, "enter": 6, "me": 2, "msg": 4, "reply": 3, "nick": 3, "who": 3, "history": 3, "topic": 2},
    **{"set topic": 4, "kick": 3, "ban": 1, "unban": 1, "mute": 2, "unmute": 2, "hand over": 1, "close": 0.7},
    **{"lock": 0.5, "unlock": 0.5, "rooms": 0.5, "bans": 1, "help": 0.5},
    **{"leave": 1, "say and leave": 1, "away": 1.5, "rebind": 1, "move": 2},
}
"""What a step may be → how often, beside the others."""
HOSTS = frozenset(
    ("set topic", "kick", "ban", "unban", "mute", "unmute", "hand over", "close", "lock", "unlock", "bans")
)
"""Steps that mostly the host takes; others are refused."""
ENDING = frozenset(("close", "leave", "say and leave"))


@dataclass(frozen=True, slots=True)
class CommandMember:
    """A client that has one membership after the other."""

    id: int
    room: int
    gateway: int
    answer_timeout_s: float
    """How long its commands wait for their answers."""
    flush_s: float
    """How long it waits for its lines when it leaves."""

    @property
    def name(self) -> str:
        """The name that it asks for when it enters."""
        return f"c{self.id}"

    @property
    def room_name(self) -> str:
        return f"commands{self.room}"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a member does, at a time after the start."""

    at: float
    member: int
    kind: str
    other: int = 0
    """The member that a command is about, the gateway to go to, or how many messages of the history are asked for."""
    lasts: float = 0.0
    """How long it is away, or after which time it takes its command back; 0: it waits for the answer."""
    by_host: bool = False
    """The member that is the host then takes this step instead."""

    def __str__(self) -> str:
        who = f"the host of member {self.member}'s room" if self.by_host else f"member {self.member}"
        span = f" for {self.lasts:.2f} s" if self.lasts else ""
        return f"{self.at:6.2f} s  {who}: {self.kind} {self.other}{span}"


@dataclass(slots=True)
class CommandPlan:
    members: list[CommandMember] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def apart(self, by: int) -> "CommandPlan":
        """Return the same with other numbers of members and rooms."""
        members = [replace(each, id=each.id + by, room=each.room + by) for each in self.members]
        steps = [
            replace(step, member=step.member + by, other=step.other + by * _is_about_member(step))
            for step in self.steps
        ]
        return CommandPlan(members, steps)


def draw_commands(dice: random.Random, gateways: int, lasts: float) -> CommandPlan:
    """Draw one or two rooms."""
    plan = CommandPlan()
    for room in range(dice.choice((1, 1, 2))):
        members = [
            CommandMember(
                *(len(plan.members) + at, room, dice.randrange(gateways)),
                answer_timeout_s=dice.choice((0.3, 1.0, 10.0)),
                flush_s=dice.choice((0.0, 5.0)),
            )
            for at in range(dice.randint(3, 5))
        ]
        plan.members += members
        for member in members:
            plan.steps += _draw_steps(dice, member, [each.id for each in members], gateways, lasts)
    plan.steps.sort(key=lambda step: step.at)
    return plan


def _draw_steps(dice: random.Random, member: CommandMember, all_: list[int], gateways: int, lasts: float) -> list[Step]:
    steps = [Step(0.0, member.id, "enter")]
    at, rate = dice.uniform(0.1, 0.4), dice.choice((2.0, 4.0, 8.0))
    while at < lasts:
        (kind,) = dice.choices([*KINDS], [*KINDS.values()])
        other, span = dice.choice(all_), 0.0
        if kind == "move":
            other = dice.randrange(gateways)
        elif kind == "history":
            other = dice.choice((1, 5, 20, 50))
        if kind == "away":
            span = dice.choice((dice.uniform(0.2, 1.0), dice.uniform(1.0, 3.0)))
        elif kind not in ENDING and dice.random() < 0.15:
            span = dice.uniform(0.0, 0.3)
        steps.append(Step(at, member.id, kind, other, span, kind in HOSTS and dice.random() < 0.8))
        at += dice.expovariate(rate)
    return steps


def _is_about_member(step: Step) -> bool:
    return step.kind not in ("move", "history")
