"""What datagrams, news and answers mean; ARCHITECTURE.md, "One message's way".

Nothing in here waits, and no socket is known: what members are to hear goes to `delivery.py`, what the broker is to
hear to `link.py`, from where `net/service.py` takes it after each drain. `now` is monotonic seconds.
"""

from collections.abc import Iterable

from gateway import addresses
from gateway.admission import ADDRESSES, RateKeys
from gateway.commands import TOLD_S, Commands
from gateway.config import Settings
from gateway.counters import Counters
from gateway.delivery import Delivery
from gateway.link import Link
from gateway.members import Arrival, Member, Members, Room, Voice, without_own_name
from gateway.silence import Silences
from gateway.strangers import Strangers
from gateway.trust import without_token
from tsudoi.ops.bounded import drop_oldest
from tsudoi.ops.token_bucket import Bucket, Buckets
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Adopt, Granted, Item, Release, Reply
from tsudoi.protocol.client.datagram import MAX_UP, decode_text
from tsudoi.protocol.client.dialect import DownForm
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS
from tsudoi.protocol.client.downlink_encoder import encode_closing
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.slash_commands import SLASHES
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import hash_token

COMMANDS = int(MemberOptions.COMMANDS)
"""As a plain number: looked at for each message that begins with a slash."""
UNKNOWN_IP = bytes(4)
LATE_TICK_S = 1.0
LEAVING_S = 10.0
"""When a member that leaves is dropped even if no news of it has come: the broker did not know it any more."""
CROWD = 50
"""In rooms with more members here than this, each may say less in proportion: what it costs is deliveries."""
LEAVE_WORDS = frozenset(word.encode() for dialect in DIALECTS.values() for word in dialect.leave_words)
"""Of all dialects, as they come: whoever shouts may leave all the same."""
MUTE_S = 0.02
"""For so long what a member says beyond its rate is passed over unread: a flood is to cost next to nothing."""
MOVES_S, MOVES, MOVING = 2.0, 20.0, 10_000
"""Other addresses of a member that are followed in a second and at once; members of whom this is known."""
SLOW_DOWN = "Too fast: what you said was dropped."
SILENCED = "Far too fast: nothing of what you say is heard for {:.0f} s."
RELEASED = 10_000
Source = tuple[bytes, bytes]
"""(datagram, address it came from)."""


class Core:
    """Everything that the gateway decides about datagrams and members; knows no socket and no clock."""

    def __init__(
        self, members: Members, settings: Settings, link: Link, delivery: Delivery, counters: Counters
    ) -> None:
        self.settings = settings
        self.link = link
        self.delivery = delivery
        self.counters = counters
        self.members = members
        self._takes_tokens = settings.auth != "off"
        self.commands = Commands(link, counters, delivery.send_to, self.leave)
        self._households = RateKeys(settings)
        self.strangers = Strangers(members, settings, link, delivery, counters, self._households, self)
        self._moves: Buckets[int] = Buckets(MOVING)
        """Of members, by their ids."""
        self._said: Buckets[str] = Buckets(ADDRESSES)
        """What is said from addresses."""
        self.silences = Silences()
        self.flooders: list[tuple[Member, float]] = []
        """Who was silenced and for how many seconds, until somebody writes it down; see `Silences.changed`."""
        self._released: dict[str, float] = {}
        """Handovers that were answered: a second answer would tell of a later stay of the member here."""
        self._ticked_at = float("-inf")
        self._leaving: dict[int, tuple[float, Member, Item]] = {}
        """Member id → since when it leaves, and what the broker was told."""

    # --- datagrams ------------------------------------------------------------------------------------------------

    def handle_datagrams(self, door: int, datagrams: Iterable[Source], now: float) -> None:
        """Take a batch of datagrams, (data, address) each, that came in at one door."""
        by_token, counters = self.members.by_token, self.counters
        for data, source in datagrams:
            counters.datagrams += 1
            # The usual case in as few steps as can be: sizes in bytes, a token that is known here.
            if len(data) < 2:
                counters.malformed_datagrams += 1
                continue
            token_at = 2 + data[0]
            text_at = token_at + data[1]
            member = by_token.get(data[token_at:text_at])
            if member is None:
                self.strangers.handle(door, data, source, now)
            else:
                self.hear(member, door, data[2:token_at], data[text_at:MAX_UP], source, now)

    def hear(self, member: Member, door: int, room_name: bytes, raw: bytes, source: bytes, now: float) -> None:
        """Take the room's name and the text of a datagram whose token is a member's."""
        counters, room = self.counters, member.room
        if member.leaving:
            counters.unknown_tokens += 1
            return
        voice = member.voice
        if voice is not None and voice.muted_until > now and raw not in LEAVE_WORDS:
            # It has said too much a moment ago: what it floods us with is not even read.
            counters.rate_limited += 1
            self._pass_over(member, room_name, source, now)
            return
        if room_name != room.raw_name and not self.delivery.names_room(room, room_name):
            counters.wrong_rooms += 1
            self._pass_over(member, room_name, source, now)
            return
        if source != member.address or door != member.door:
            is_first = member.address is None
            if not self._relocate(member, door, room_name, source, now):
                return
            if is_first and not raw:
                member.seen = now  # it says where it is
                return
        member.seen = now
        if not raw:
            # A sign of life, of which there may be too many.
            self._pass_over(member, room_name, source, now)
            return
        dialect = member.dialect
        voice = member.voice = member.voice or Voice(member.name)
        text = decode_text(raw, dialect)
        if self._takes_tokens:
            text = without_token(text)
        text = without_own_name(text, voice.own_prefixes)
        if not text or text in dialect.register_words:
            self._pass_over(member, room_name, source, now)
            return
        if text in dialect.leave_words:
            self.leave(member, LeaveReason.LEFT, now)
            return
        if not self._may_say(member, voice, now):
            voice.muted_until = now + MUTE_S
            self._slow_down(member, voice, SLOW_DOWN, now)
            return
        if text[0] in SLASHES and member.options & COMMANDS:
            text = self.commands.take(member, text, now)
            if not text:
                return
        if self.link.publisher.add(Item(EntryKind.SAID, room.id, member.id, text, 0)):
            counters.accepted_messages += 1
        else:
            counters.window_full += 1

    def _may_say(self, member: Member, voice: Voice, now: float) -> bool:
        """Say whether neither a member nor its address nor its room has said too much lately.

        In a crowd, what is said costs more.
        """
        settings, room = self.settings, member.room
        rate, burst = settings.rate, settings.burst
        crowd = len(room.members)
        if crowd > CROWD:
            rate, burst = rate * CROWD / crowd, max(burst * CROWD / crowd, 1.0)
        bucket = voice.bucket
        if bucket is None:
            bucket = voice.bucket = Bucket(burst, now)
        if not bucket.touch(now, rate, burst):
            self.counters.rate_limited += 1
            return False
        rate = settings.address_messages
        if member.rate_key and not self._said.touch(member.rate_key, now, rate, 2.0 * rate):
            self.counters.address_limited += 1
            return False
        bucket = room.bucket
        if bucket is None:
            bucket = room.bucket = Bucket(2.0 * settings.room_rate, now)
        if not bucket.touch(now, settings.room_rate, 2.0 * settings.room_rate):
            self.counters.room_limited += 1
            return False
        return True

    def _pass_over(self, member: Member, room_name: bytes, source: bytes, now: float) -> None:
        """Count a datagram of which nothing comes, and silence a member that sends too many of these.

        Those from elsewhere do not count: nobody else can have a member silenced.
        """
        if addresses.same_host(addresses.ip_bytes(source), member.ip) and self.silences.passed_over(member.id, now):
            self._silence(member, room_name, now)

    def _silence(self, member: Member, room_name: bytes, now: float) -> None:
        """Hear nothing of a member that floods, for a while; then it may say its rate, but nothing at once."""
        self.counters.silenced += 1
        voice = member.voice = member.voice or Voice(member.name)
        until = self.silences.begin(member.id, room_name, member.token, now)
        voice.muted_until = until
        voice.bucket = Bucket(0.0, until)
        self.flooders.append((member, until - now))
        self._slow_down(member, voice, SILENCED.format(until - now), now)

    def _slow_down(self, member: Member, voice: Voice, why: str, now: float) -> None:
        """Tell a member that its messages are dropped, if its dialect has words for it; once a second."""
        if member.dialect.down.form is DownForm.NATIVE and now - voice.warned_at >= TOLD_S and member.address:
            voice.warned_at = now
            self.counters.told_to_slow_down += 1
            words = encode_closing(member.dialect, member.room.name, "slow", why)
            self.delivery.send(member.door, member.address, words)

    def _relocate(self, member: Member, door: int, room_name: bytes, source: bytes, now: float) -> bool:
        """Decide whether a member's datagrams may come from here, and count it if not; PROTOCOL.md, "Addresses"."""
        ip = addresses.ip_bytes(source)
        if not addresses.same_host(ip, member.ip) and not self._may_be_elsewhere(member, now):
            self.counters.wrong_addresses += 1
            return False
        if member.address is not None and not self._moves.touch(member.id, now, MOVES_S, MOVES):
            # Each move costs its group and the directory something.
            self.counters.moves_limited += 1
            self._pass_over(member, room_name, source, now)
            return False
        if member.address is not None and member.dialect.port_stays:
            source = addresses.with_port(source, addresses.unpack(member.address)[1])
        if member.address is not None and source != member.address:
            self.counters.moved_addresses += 1
        self._note_host(member, ip)
        member.ip = ip
        if (source, door) != (member.address, member.door):
            self.delivery.locate(member, door, source, now)
        return True

    def _note_host(self, member: Member, other: bytes) -> None:
        """Note that a member moves between two hosts, if these are two, and if that is looked at at all."""
        if self.settings.check_ip == "strict" and not addresses.same_host(other, member.ip):
            member.voice = member.voice or Voice(member.name)
            member.voice.elsewhere = True

    def _may_be_elsewhere(self, member: Member, now: float) -> bool:
        """Say whether a member may show itself at another host by now."""
        return self.settings.check_ip == "off" or now - member.seen >= self.settings.move_after_s

    # --- members --------------------------------------------------------------------------------------------------

    def may_enter(self, ip: str) -> bool:
        """Say whether one more member may come from an address, and count it if not."""
        there = self.members.rate_keys.get(self._households.of(ip), 0)
        if there >= self.settings.address_members:
            self.counters.members_limited += 1
            return False
        return True

    def enter(self, granted: Granted, token: bytes, now: float, joined: bool = False) -> Member:
        """Serve a member that the directory has granted.

        Args:
            granted: the directory's answer.
            token: what the client will show.
            now: monotonic seconds.
            joined: it has just joined, rather than come from elsewhere.
        """
        known = self.members.by_token.get(token)
        if known is None and self.members.claim_adopted(hash_token(token), token):
            # It was adopted while its client's datagram asked for it.
            known = self.members.by_token[token]
        if known is not None:
            return known
        member = self._new_member(granted, token, now)
        self.members.add(member)
        if joined and self.settings.history:
            member.arrival = Arrival(granted.offset, self.settings.history)
        self._restore(member, granted, now)
        return member

    def _adopt(self, granted: Granted, token_hash: bytes, now: float) -> None:
        """Serve a member whose client has not sent us anything yet: its token is known only when it does."""
        room = self.members.rooms.get(granted.room)
        known = room.members.get(granted.member) if room else None
        if self.delivery.told_end(granted.room, granted.member):
            pass
        elif known is None:
            member = self._new_member(granted, b"", now)
            self.members.add_adopted(member, token_hash)
            self._restore(member, granted, now)
            # What asked for it waits no longer, or what its client says next would overtake it.
            for door, data, source in self.strangers.let_go(token_hash):
                self.handle_datagrams(door, [(data, source)], now)
        elif known.leaving and known.id in self._leaving:
            # It was another's when we said that it leaves, so that did not count.
            self.link.publisher.add(self._leaving[known.id][2])

    def _restore(self, member: Member, granted: Granted, now: float) -> None:
        """Take up where a member was before it came to us."""
        if granted.address:
            ip = member.ip
            self.delivery.restore(member, granted.address, now)
            self._note_host(member, ip)

    def _new_member(self, granted: Granted, token: bytes, now: float) -> Member:
        room = self.members.rooms.get(granted.room)
        if room is None:
            room = self.members.rooms[granted.room] = Room(granted)
            self.delivery.subscribe(room)
        dialect = DIALECTS.get(granted.dialect, CLASSIC)
        try:
            ip, rate_key = addresses.parse_ip(granted.ip), self._households.of(granted.ip)
        except ValueError:
            ip, rate_key = UNKNOWN_IP, ""
        return Member(granted, token, dialect, ip, room, now, rate_key)

    def announce(self, member: Member, source: bytes, now: float) -> None:
        """A client has said by TCP where its datagrams shall go; what it sends itself counts for more."""
        if member.address is None and not member.leaving:
            self.delivery.locate(member, self.delivery.door_for(source), source, now)

    def leave(self, member: Member, reason: LeaveReason, now: float) -> None:
        """Take a member out of its room, by way of the broker; what it says from now on is not heard."""
        left = Item(EntryKind.LEFT, member.room.id, member.id, "", reason)
        self.link.publisher.add(left)
        member.leaving = True
        self._leaving.pop(member.id, None)
        self._leaving[member.id] = now, member, left

    # --- the broker -----------------------------------------------------------------------------------------------

    def handle_news(self, frame: bytes, now: float) -> None:
        """Take one frame from the broker's PUB side."""
        topic, body = frame[: backbone.TOPIC_SIZE], frame[backbone.TOPIC_SIZE :]
        room_id = backbone.topic_room(topic)
        try:
            if room_id is None:
                self._handle_bundle(backbone.parse_bundle_untrusted(body), now)
            elif room := self.members.rooms.get(room_id):
                self.delivery.handle_news(room, backbone.parse_news_untrusted(body), now)
        except MalformedMessage:
            self.counters.malformed_frames += 1

    def _handle_bundle(self, bundle: backbone.Bundle, now: float) -> None:
        """Take what we alone hear; rooms that we do not serve (any more) are passed over."""
        rooms = self.members.rooms
        if bundle.accepted:
            self.link.accepted(bundle.broker, bundle.accepted, now)
        for room_id, news in bundle.news:
            if room := rooms.get(room_id):
                self.delivery.handle_news(room, news, now)
        for number in bundle.canaries:
            if not self.link.canary_back(number, now):
                self.delivery.check_positions(now)

    def handle_answer(self, frame: bytes, now: float) -> None:
        """Take one frame from the broker's command socket."""
        try:
            for each in backbone.unpack_frames_untrusted(frame):
                self._handle_answer(backbone.parse_downward_untrusted(each), now)
        except MalformedMessage:
            self.counters.malformed_frames += 1

    def _handle_answer(self, message: backbone.Downward, now: float) -> None:
        late = self.link.resumed_late(message)
        self.link.handle(message, now)
        match message:
            case Reply(_, Granted() as granted) if late:
                self._adopt(granted, late, now)
            case Release(room_id, member_id, handover, elsewhere):
                if handover in self._released:
                    return  # asked once more before our answer was there
                room = self.members.rooms.get(room_id)
                member = room.members.get(member_id) if room else None
                if elsewhere and (member is None or not self._may_be_elsewhere(member, now)):
                    # Of one that is not known here nobody can say that it was silent: it must come from where it was.
                    self.link.publisher.add(Item(EntryKind.KEPT, room_id, member_id, handover, 0))
                    return
                self._released[handover] = now
                drop_oldest(self._released, RELEASED)
                if member is not None:
                    self.delivery.release(member, handover)
                else:
                    # Not here any more: the directory goes by what we reported.
                    self.link.publisher.add(Item(EntryKind.RELEASED, room_id, member_id, handover, 0))
            case Adopt(adoptions):
                for adoption in adoptions:
                    self.counters.adopted += 1
                    self._adopt(adoption.granted, adoption.token_hash, now)

    def tick(self, now: float) -> None:
        """Do what time brings. To be called every `link.CANARY_S`."""
        self.link.tick(now)
        self.silences.tick(now)
        if now - self._ticked_at > LATE_TICK_S:
            # We stood still, and sent no canary that could have been lost with the news of that time.
            self.delivery.check_positions(now)
        self._ticked_at = now
        for member in self.members.idle(now):
            self.leave(member, LeaveReason.IDLE, now)
        if self._leaving and self.link.is_alive(now):
            self._drop_leavers(now)
        self.delivery.tick(now)

    def _drop_leavers(self, now: float) -> None:
        """Drop those who left long ago, without any news of it. If it did not count at the time, it may now."""
        for member_id, (since, member, left) in list(self._leaving.items()):
            if now - since < LEAVING_S:
                break
            del self._leaving[member_id]
            if member.room.members.get(member_id) is member:
                self.link.publisher.add(left)
                self.delivery.drop(member)
