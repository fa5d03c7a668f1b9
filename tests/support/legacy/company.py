"""A room with stand-ins as members, and the lines that each of them must have shown."""

from tests.support.legacy.client import Answer, LegacyClient
from tests.support.legacy.plain import Tcrp200
from tests.support.legacy.wire import PATIENCE_S, Deadline


class Company:
    """The members of one room. Send all messages through it: it waits until they are received, and keeps a record.

    A member receives messages once its UDP address is known: it has announced a port, or sent a datagram. Messages of
    the time between its join and that moment must come then, so all messages from its join on are due.
    """

    def __init__(self, room: str) -> None:
        self.room = room
        self.members: list[LegacyClient] = []
        self.screens: dict[LegacyClient, list[str]] = {}
        self._said: list[tuple[LegacyClient, str]] = []
        self._unheard: list[tuple[LegacyClient, str]] = []
        """Sent by the only member: whether the next one joined before or after is not known here."""
        self._joined_at: dict[LegacyClient, int] = {}
        self._reachable: set[LegacyClient] = set()

    def create(self, host: LegacyClient) -> Answer:
        return self._admit(host, host.create(self.room))

    def join(self, guest: LegacyClient) -> Answer:
        return self._admit(guest, guest.join(self.room))

    def _admit(self, client: LegacyClient, answer: Answer) -> Answer:
        assert len(client.token) == 32, f"{client!r} was given no token: {answer}"
        self.members.append(client)
        self.screens[client] = []
        self._joined_at[client] = len(self._said)
        if client.announces:
            self._reachable.add(client)
        if isinstance(client, Tcrp200):
            self.say(client, client.greeting)
        elif client.registration is not None:
            client.start()
            self._reachable.add(client)
        return answer

    def say(self, speaker: LegacyClient, text: str) -> None:
        """Send one line; return when all members have received it."""
        self.say_all([(speaker, text)])

    def say_all(self, lines: list[tuple[LegacyClient, str]]) -> None:
        """Send lines at the same time; return when all members have received each, in any order."""
        for speaker, text in lines:
            speaker.say(text)
            alone = self.members == [speaker] and not speaker.echoes
            (self._unheard if alone else self._said).append((speaker, text))
            self._reachable.add(speaker)
        for member in self.members:
            if member in self._reachable:
                self._catch_up(member)

    def _catch_up(self, member: LegacyClient) -> None:
        deadline, wanted = Deadline(PATIENCE_S), len(self.due(member))
        screen = self.screens[member]
        while len(screen) < wanted:
            heard = member.listen(deadline.left)
            assert heard is not None, f"{member!r} waits for {self.due(member)} and has {screen}"
            assert heard.origin == member.listener.udp, f"{member!r} was answered from another socket: {heard}"
            if heard.shown not in [member.line(speaker.name, text) for speaker, text in self._unheard]:
                screen.append(heard.shown)

    def due(self, member: LegacyClient) -> list[str]:
        """Return the lines that a member must show, in the order in which they were sent."""
        return [
            member.line(speaker.name, text)
            for speaker, text in self._said[self._joined_at[member] :]
            if speaker is not member or member.echoes
        ]

    def check(self) -> None:
        """Check that each member has received exactly the lines due to it, in order, and that no datagram waits."""
        for member in self.members:
            if member in self._reachable:
                assert self.screens[member] == self.due(member), (
                    f"{member!r}: {self.screens[member]}, not {self.due(member)}"
                )
                assert member.pending() == [], member

    def chat(self, *speakers: LegacyClient) -> None:
        """Let the speakers send two rounds of lines. The first also makes their addresses known."""
        for number in (1, 2):
            for speaker in speakers or self.members:
                self.say(speaker, f"こんにちは: {number}")
        self.check()
