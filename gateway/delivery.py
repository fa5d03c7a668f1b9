"""What goes to members, and in which order: news, gaps, replays, notices; ARCHITECTURE.md, "Gaps are seen".

A room's live members all stand at its position: news move them on together, one datagram each, encoded once a
style. A
member that is not live has a cursor of its own and catches up from the log until it stands where the room does.
"""

from collections.abc import Callable

from gateway import addresses, render
from gateway.config import Settings
from gateway.counters import Counters
from gateway.happenings import SPOKEN, TOLD, Doors, Happenings
from gateway.link import Link
from gateway.members import Arrival, Member, Members, Recipients, Room
from gateway.pace import Pace
from tsudoi.protocol import backbone, names
from tsudoi.protocol.backbone import (
    Answer,
    Entry,
    Item,
    News,
    Positions,
    Reconcile,
    Reconciled,
    Replay,
    Replayed,
    RoomPositions,
)
from tsudoi.protocol.client import downlink_encoder
from tsudoi.protocol.client.dialect import DownStyle
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import InvalidName

HISTORY_ENTRIES = 500
"""Entries of before it joined among which a new member's history is looked for."""
POSITIONS_AT_ONCE = 2_000
ROLLS = 3
"""How often the roll is called at the most while members come in between a roll and its answer."""
ENDED = 100_000
"""Members who were told that their rooms are closed that are remembered, so that nobody is told twice."""
REPORT_S = 0.25
"""How often the directory is told how far was delivered: what a crash may repeat to a member."""
FEW_ROOMS, REPORT_FEW_S = 16, 0.02
"""While only a few rooms go on it is told sooner, as that costs little."""


class Delivery:
    """Decides what each member hears next."""

    def __init__(
        self,
        members: Members,
        settings: Settings,
        link: Link,
        counters: Counters,
        doors: Doors,
        new_recipients: Callable[[], Recipients],
        ipv6_doors: list[bool],
    ) -> None:
        """Serve `members` through the UDP doors whose families are given, in their order.

        Args:
            members: who is served; rooms that close are taken out.
            settings: see there.
            link: the broker.
            counters: what went wrong.
            doors: what sends.
            new_recipients: makes an empty group.
            ipv6_doors: one item a door, whether it is IPv6's.
        """
        self._members = members
        self._settings = settings
        self._link = link
        self._counters = counters
        self._doors = doors
        self._new_recipients = new_recipients
        self._group_keys: dict[tuple[int, DownStyle, int], tuple[int, DownStyle, int]] = {}
        self._ipv6_doors = ipv6_doors
        self._unreported: dict[int, Room] = {}
        """Rooms that went on since the directory was told."""
        self._unsettled: dict[int, Room] = {}
        """Rooms where something is to be caught up with: those that a tick looks at."""
        self._reported_at = 0.0
        self._ended: dict[int, None] = {}
        """Members who were told that their rooms are closed, the last of them."""
        self._fenced = True
        self._calling = False
        self.happenings = Happenings(doors, self)

    # --- rooms ----------------------------------------------------------------------------------------------------

    def subscribe(self, room: Room) -> None:
        """Ask for a room's news. The broker tells the position when the subscription is live there."""
        self._doors.subscribe(room.topic)

    @staticmethod
    def names_room(room: Room, raw: bytes) -> bool:
        """Say whether the name in a datagram is the room's, in whatever form of Unicode it is written."""
        try:
            return names.room_name(raw.decode()) == room.name
        except (UnicodeDecodeError, InvalidName):
            return False

    def handle_news(self, room: Room, news: News, now: float) -> None:
        """Take news of a room that is served here."""
        if room.is_ended:
            return
        if news.epoch == 0:
            # It was closed, and we have not heard how: the log's end says so.
            room.known_last = max(room.known_last, news.last, room.position + 1)
            if not room.repairing:
                self._repair(room, now)
            return
        if news.epoch != room.epoch:
            self._reset(room, news.epoch, news.last)
        room.known_last = max(room.known_last, news.last)
        first_news, room.confirmed = not room.confirmed, True
        if room.repairing:
            return
        if self._is_fenced(now):
            self._unsettled[room.id] = room
            return
        if news.last > room.position:
            first = news.entries[0].offset if news.entries else news.last + 1
            if first > room.position + 1:
                # Before the first news there was no subscription that could have dropped any.
                self._counters.gaps += not first_news
                self._repair(room, now)
                return
            self._advance(room, news.entries, now)
        if room.waiting:
            self._catch_up_all(room, now)

    def _advance(self, room: Room, entries: list[Entry], now: float) -> None:
        """Deliver entries that follow on the room's position; older ones among them were delivered already."""
        for entry in entries:
            if entry.offset <= room.position:
                continue
            if room.waiting:
                self._promote(room)
            if entry.kind == EntryKind.SAID:
                self._say(room, entry)
                room.eventful = entry.offset
            elif entry.kind == EntryKind.CLOSED:
                self._end(room, entry)
                return
            else:
                self.happenings.take(room, entry, now)
                if self._members.rooms.get(room.id) is not room:
                    return  # that was the last one here
                if entry.kind != EntryKind.JOINED:
                    room.eventful = entry.offset
            room.position = entry.offset
        self._unreported[room.id] = room

    def _say(self, room: Room, entry: Entry) -> None:
        sender = room.members.get(entry.member)
        for (door, style, _), recipients in room.groups.items():
            payload = downlink_encoder.encode_message(style, room.name, entry.offset, entry.sender, entry.text)
            skip = -1
            if sender is not None and sender.recipients is recipients and not sender.dialect.echo:
                skip = sender.slot
            self._doors.fan_out(door, recipients, payload, skip)

    def _end(self, room: Room, entry: Entry) -> None:
        """The room is closed: who has heard all of it is told so, who is behind when it has caught up."""
        room.position = room.known_last = room.eventful = entry.offset
        room.is_ended = room.confirmed = True
        for member in list(room.members.values()):
            if member.id not in room.waiting:
                self._tell_end(member, entry)
        if room.members:
            self._unsettled[room.id] = room
        else:
            self._forget(room)

    def _tell_end(self, member: Member, entry: Entry | None) -> None:
        """A member has heard all of a room that is closed (`entry` says how, if the log still does), and needs no more.

        The directory is told, so that no other gateway tells it again. Of a member without an address it is not: it is
        told when its client shows where it is, if that is soon.
        """
        room = member.room
        if member.address is not None:
            host = entry.sender if entry is not None else "?"
            for template in member.dialect.closed:
                text = template.format(user=host, room=room.name)
                payload = downlink_encoder.encode_closing(member.dialect, room.name, "closed", text)
                self._doors.send_to(member.door, member.address, payload)
            self._ended[member.id] = None
            if len(self._ended) > ENDED:
                del self._ended[next(iter(self._ended))]
            self._say_ended(room.id, member.id)
        self.drop(member)

    def _say_ended(self, room_id: int, member_id: int) -> None:
        self._link.publisher.add(Item(EntryKind.LEFT, room_id, member_id, "", LeaveReason.LEFT))

    def told_end(self, room_id: int, member_id: int) -> bool:
        """Say whether we have told a member that its room is closed; if so, tell the directory, which has not heard."""
        if member_id in self._ended:
            self._say_ended(room_id, member_id)
        return member_id in self._ended

    def _gone(self, room: Room) -> None:
        """The room is closed, and its log is no more."""
        for member in list(room.members.values()):
            self._tell_end(member, None)
        self._forget(room)

    def drop(self, member: Member) -> None:
        """Serve a member no more."""
        if member.room.members.get(member.id) is not member:
            return
        self._silence(member)
        self._members.remove(member)
        if not member.room.members:
            self._forget(member.room)

    def _forget(self, room: Room) -> None:
        if self._members.rooms.get(room.id) is room:
            del self._members.rooms[room.id]
            self._unreported.pop(room.id, None)
            self._doors.unsubscribe(room.topic)

    # --- gaps -----------------------------------------------------------------------------------------------------

    def _repair(self, room: Room, now: float) -> None:
        """Ask the log for what is missing; until it has come, news only say how much there is."""
        room.repairing = True
        self._unsettled[room.id] = room
        if room.pace is None:
            room.pace = Pace(self._settings.replay_rate, room.known_last, now)
        portion = self._portion(room.pace, room.position, room.known_last, now)
        if not portion:
            return

        def answered(answer: Answer | None, now: float) -> None:
            room.repairing = False
            if self._members.rooms.get(room.id) is not room:
                return
            if isinstance(answer, Replayed) and not self._is_fenced(now):
                self._replayed(room, answer, now)

        self._link.ask(Replay(room.id, room.epoch, room.position, portion), now, answered)

    def _portion(self, pace: Pace, heard: int, goal: int, now: float) -> int:
        """Return how many entries to ask the log for; 0: a tick shall ask again, as so much was told already."""
        waited = pace.waits
        portion = pace.portion(heard, goal, now)
        self._counters.replays_paced += pace.waits and not waited
        return portion

    def _replayed(self, room: Room, answer: Replayed, now: float) -> None:
        """Take what the log had: all of it, a gap, a new epoch, or the news that the room is closed."""
        if answer.epoch == 0:
            self._counters.lost_entries += max(answer.last - room.position, 0)
            self._gone(room)
            return
        if answer.epoch != room.epoch:
            self._reset(room, answer.epoch, answer.first - 1)
        if answer.first > room.position + 1:
            self._counters.lost_entries += answer.first - room.position - 1
            room.position = room.eventful = answer.first - 1
        room.known_last = max(room.known_last, answer.last)
        if room.pace is not None:
            room.pace.told(len(answer.entries))
        self._advance(room, answer.entries, now)
        if self._members.rooms.get(room.id) is not room:
            return
        if room.position < room.known_last:
            self._repair(room, now)
            return
        room.pace = None
        if room.waiting:
            self._catch_up_all(room, now)

    def _reset(self, room: Room, epoch: int, position: int) -> None:
        """History was lost: positions of before mean nothing now."""
        self._counters.resets += 1
        room.epoch = epoch
        room.position = room.known_last = room.eventful = position
        for member in room.members.values():
            member.cursor = position

    def check_positions(self, now: float) -> None:
        """News may have been dropped without a trace, and so may our reports: ask and tell where all rooms stand."""
        self._unreported.update(self._members.rooms)

        def answered(answer: Answer | None, now: float) -> None:
            for room_id, epoch, last in answer.positions if isinstance(answer, RoomPositions) else ():
                if room := self._members.rooms.get(room_id):
                    self.handle_news(room, News(epoch, last, []), now)

        rooms = list(self._members.rooms)
        for start in range(0, len(rooms), POSITIONS_AT_ONCE):
            self._link.ask(Positions(rooms[start : start + POSITIONS_AT_ONCE]), now, answered)

    # --- fencing --------------------------------------------------------------------------------------------------

    def _is_fenced(self, now: float) -> bool:
        """Say whether our members may be another's by now, as the broker has not heard us for so long."""
        if not self._fenced and not self._link.may_deliver(now):
            self._fenced = True
            self._counters.fenced += 1
        return self._fenced

    def _call_roll(self, now: float, again: int = ROLLS - 1) -> None:
        """Ask whom we serve still; if we are fenced, nobody is told anything until the answer has come."""
        self._calling, was_fenced = True, self._fenced
        self._link.in_doubt = False

        def answered(answer: Answer | None, now: float) -> None:
            self._calling = False
            if not isinstance(answer, Reconciled) or not self._link.may_deliver(now):
                self._link.in_doubt = True
                return
            if self._fenced and not was_fenced:
                return  # it may be older than what fenced us; a tick asks again
            if again and any(not known.issuperset(room.members) for room in self._members.rooms.values()):
                # Granted meanwhile: perhaps long ago, on a connection that stood still, and to another since then.
                self._call_roll(now, again - 1)
                return
            elsewhere = set(answer.elsewhere)
            for room in list(self._members.rooms.values()):
                for member in [room.members[member_id] for member_id in elsewhere.intersection(room.members)]:
                    self.drop(member)
            self._fenced = False
            self.check_positions(now)

        known = {member_id for room in self._members.rooms.values() for member_id in room.members}
        self._link.ask(Reconcile(list(known)), now, answered)

    def release(self, member: Member, handover: str) -> None:
        """Another gateway goes on with a member: tell it how far we came."""
        self._counters.released += 1
        if member.recipients is None and member.address is not None:
            # It catches up still, perhaps at an address that the directory does not know yet.
            self._say_address(member, member.cursor)
        self._silence(member)
        self._link.publisher.add(Item(EntryKind.RELEASED, member.room.id, member.id, handover, member.cursor))
        self.drop(member)

    # --- members --------------------------------------------------------------------------------------------------

    def door_for(self, address: bytes) -> int:
        """Return the first door of an address's family, or simply the first."""
        ipv6 = addresses.is_ipv6(address)
        return self._ipv6_doors.index(ipv6) if ipv6 in self._ipv6_doors else 0

    def locate(self, member: Member, door: int, address: bytes, now: float) -> None:
        """A member's datagrams go to this address from now on, and leave by this door."""
        was_live, is_new = member.recipients is not None, member.address is None
        self._silence(member)
        unproven_from = self._members.unproven.get(member.id)
        if unproven_from is not None and address != member.address and member.address is not None:
            # A gateway's end may have cut the way back through a NAT: what went to the old address is told again.
            was_live = False
            member.cursor = min(member.cursor, unproven_from)
            del self._members.unproven[member.id]
        member.address, member.door = address, door
        if was_live:
            self._enliven(member)
            return
        if is_new:
            # Only a short backlog waits for one that has never had an address.
            oldest = member.room.position - self._settings.backlog
            if member.cursor < oldest:
                self._counters.backlog_skipped += oldest - member.cursor
                member.cursor = oldest
        member.room.waiting[member.id] = member
        self._unsettled[member.room.id] = member.room
        self._catch_up(member, now)

    def restore(self, member: Member, written: bytes, now: float) -> None:
        """Take up the address that another gateway (or this one, before) wrote down for a member."""
        try:
            ip, port, door = written.decode().split(" ")
            address, number = addresses.pack(ip, int(port)), int(door)
        except (ValueError, OverflowError):
            return
        if not 0 <= number < len(self._ipv6_doors) or self._ipv6_doors[number] != addresses.is_ipv6(address):
            number = self.door_for(address)
        member.ip = addresses.ip_bytes(address)
        member.address = address  # it is not new: all that it has not heard waits for it
        self.locate(member, number, address, now)

    def send(self, door: int, address: bytes, payload: bytes) -> None:
        """Send one datagram to one address."""
        self._doors.send_to(door, address, payload)

    def _enliven(self, member: Member) -> None:
        """Let a member that stands where its room does hear the news with the others."""
        room = member.room
        room.wait_no_more(member)
        member.arrival = None
        if member.address is None:
            return
        key = (member.door, member.dialect.down, member.options & TOLD)
        recipients = room.groups.get(key)
        if recipients is None:
            # Equal keys of thousands of rooms are kept once: there are few.
            recipients = room.groups[self._group_keys.setdefault(key, key)] = self._new_recipients()
        recipients.add(member, member.address)
        member.recipients = recipients
        self._say_address(member, room.position)

    def _say_address(self, member: Member, heard: int) -> None:
        """Tell the directory where a member's datagrams go, and how far it has heard its room."""
        assert member.address is not None
        ip, port = addresses.unpack(member.address)
        where = f"{ip} {port} {member.door}"
        self._link.publisher.add(Item(EntryKind.ADDRESSED, member.room.id, member.id, where, heard))

    def _silence(self, member: Member) -> None:
        """Take a member out of its group; it stands where its room stood."""
        if member.recipients is None:
            return
        member.recipients.remove(member)
        room = member.room
        if not len(member.recipients):
            room.groups = {key: group for key, group in room.groups.items() if group is not member.recipients}
        member.recipients = None
        member.cursor = room.position

    def _promote(self, room: Room) -> None:
        for member in list(room.waiting.values()):
            arrival = member.arrival
            if member.cursor == room.position and not (arrival and (arrival.replaying or arrival.history)):
                self._enliven(member)

    def _catch_up_all(self, room: Room, now: float) -> None:
        for member in list(room.waiting.values()):
            self._catch_up(member, now)

    def _catch_up(self, member: Member, now: float) -> None:
        """Bring a member to where its room stands: at once, or by asking the log for what it has not heard."""
        room, arrival = member.room, member.arrival
        if not room.confirmed or (arrival is not None and arrival.replaying):
            return
        if arrival is not None and arrival.history:
            self._tell_history(member, arrival, now)
            return
        # Many join before the first of them says where it is: that others have come since is no reason to ask the log.
        missed_joins = room.eventful <= member.cursor <= room.position and not member.options & MemberOptions.NOTICES
        if member.cursor == room.position or missed_joins:
            self._enliven(member)
            return
        if member.cursor > room.position:
            return
        if arrival is None:
            arrival = member.arrival = Arrival()
        if arrival.pace is None:
            arrival.pace = Pace(self._settings.replay_rate, room.position, now)
        portion = self._portion(arrival.pace, member.cursor, room.position, now)
        if not portion:
            return
        arrival.replaying = True

        def answered(answer: Answer | None, now: float) -> None:
            arrival.replaying = False
            if room.members.get(member.id) is not member or member.id not in room.waiting:
                return
            if not isinstance(answer, Replayed) or self._is_fenced(now):
                return
            if answer.epoch == 0:
                self._gone(room)
            elif answer.epoch == room.epoch:
                self._retell(member, answer)
                if not member.leaving or room.members.get(member.id) is member:
                    self._catch_up(member, now)

        self._link.ask(Replay(room.id, room.epoch, member.cursor, portion), now, answered)

    def _tell_history(self, member: Member, arrival: Arrival, now: float) -> None:
        """Tell a new member what was said last before it joined, as far as the log's newest entries hold it."""
        room = member.room
        arrival.replaying = True

        def answered(answer: Answer | None, now: float) -> None:
            arrival.replaying = False
            if room.members.get(member.id) is not member or self._is_fenced(now):
                return
            if isinstance(answer, Replayed) and answer.epoch == 0:
                self._gone(room)
            elif isinstance(answer, Replayed) and answer.epoch == room.epoch:
                before = [e for e in answer.entries if e.offset < arrival.joined_at and e.kind in SPOKEN]
                for entry in before[-arrival.history :]:
                    self._tell(member, entry)
                arrival.history = 0
                self._catch_up(member, now)

        after = max(arrival.joined_at - 1 - HISTORY_ENTRIES, 0)
        self._link.ask(Replay(room.id, room.epoch, after, HISTORY_ENTRIES), now, answered)

    def _tell(self, member: Member, entry: Entry) -> None:
        payload = render.payload(entry, member.room.name, member.dialect.down, member.options, member.id)
        if payload is not None:
            self.send_to(member, payload)

    def send_to(self, member: Member, payload: bytes) -> None:
        """Send one datagram to a member, if it is known where it is."""
        if member.address is not None:
            self._doors.send_to(member.door, member.address, payload)

    def _retell(self, member: Member, answer: Replayed) -> None:
        """Send a member what the log holds of what it has not heard, as far as its room has got."""
        room = member.room
        if answer.first > member.cursor + 1:
            self._counters.lost_entries += answer.first - member.cursor - 1
            member.cursor = answer.first - 1
        begun = member.cursor
        for entry in answer.entries:
            if entry.offset > room.position:
                break
            if entry.offset <= member.cursor:
                continue
            if entry.kind == EntryKind.LEFT and entry.member == member.id:
                # It left before we knew that it was in.
                self.happenings.part(member, entry)
                return
            if entry.kind == EntryKind.CLOSED:
                self._tell_end(member, entry)
                return
            own = entry.member == member.id and not member.dialect.echo and entry.kind in SPOKEN
            if not own and render.hears(entry, member.id, member.options):
                self._tell(member, entry)
            member.cursor = entry.offset
        if member.arrival is not None and member.arrival.pace is not None:
            member.arrival.pace.told(member.cursor - begun)

    def report_if_due(self, now: float) -> None:
        """Report, if the last time is long enough ago: a crash repeats what was delivered since."""
        if self._unreported:
            pause_s = REPORT_S if len(self._unreported) > FEW_ROOMS else REPORT_FEW_S
            if now - self._reported_at >= pause_s:
                self._reported_at = now
                self.report()

    def report(self) -> None:
        """Tell the directory how far was delivered, so that who goes on with our members knows."""
        if self._unreported:
            positions = [(room.id, room.position) for room in self._unreported.values()]
            self._link.tell(backbone.Delivered(positions))
            self._unreported.clear()

    # --- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Report how far was delivered, and ask again where an answer did not come."""
        self.report_if_due(now)
        if self._is_fenced(now):
            if not self._calling and self._link.may_deliver(now):
                self._call_roll(now)
            return
        if self._link.in_doubt and not self._calling:
            # Whom we are to serve without knowing so comes before the answer.
            self._call_roll(now)
        self.happenings.tick(now)
        for room in list(self._unsettled.values()):
            if self._members.rooms.get(room.id) is not room:
                del self._unsettled[room.id]
            elif room.repairing and room.pace is not None and room.pace.waits:
                self._repair(room, now)
            elif room.repairing:
                continue
            elif room.confirmed and room.position < room.known_last:
                self._repair(room, now)
            elif room.waiting:
                self._catch_up_all(room, now)
            else:
                del self._unsettled[room.id]
