"""gateway/listeners/sendmmsg.py, over real sockets."""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.members import Member, Room
from gateway.listeners import segments, sendmmsg, sockaddr
from gateway.listeners.prepared_recipients import PreparedRecipients
from gateway.listeners.sendmmsg import BATCH, DatagramIo
from tests.support.fakes import a_grant, token_of
from tests.support.sockets import needs_ipv6, take_all
from tsudoi.protocol.client.datagram import MAX_READ, MAX_UP
from tsudoi.protocol.client.dialects import TCRP

FAMILIES = {"ipv4": (socket.AF_INET, "127.0.0.1"), "ipv6": (socket.AF_INET6, "::1")}
PATIENCE_S = 30.0

NewSocket = Callable[[], socket.socket]


@pytest.fixture(params=["ipv4", pytest.param("ipv6", marks=needs_ipv6)])
def family(request: pytest.FixtureRequest) -> tuple[socket.AddressFamily, str]:
    return FAMILIES[request.param]


@pytest.fixture
def new_socket(family: tuple[socket.AddressFamily, str]) -> Iterator[NewSocket]:
    """Makes bound sockets; all are closed in the end."""
    opened: list[socket.socket] = []

    def make() -> socket.socket:
        sock = socket.socket(family[0], socket.SOCK_DGRAM)
        opened.append(sock)
        sock.settimeout(PATIENCE_S)
        sock.bind((family[1], 0))
        return sock

    yield make
    for sock in opened:
        sock.close()


@pytest.fixture
def sock(new_socket: NewSocket) -> socket.socket:
    """The socket that is tried."""
    sock = new_socket()
    sock.setblocking(False)
    return sock


def name_of(sock: socket.socket) -> bytes:
    """The socket's address as the gateway writes it."""
    return sockaddr.pack(*sock.getsockname()[:2])


def leave_room(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel have room for so many datagrams, and no more."""
    real = sendmmsg._sendmmsg

    def narrow(fd: int, headers: int, count: int, flags: int) -> int:
        nonlocal room
        sent = real(fd, headers, min(count, room), flags) if room else -1
        room -= max(sent, 0)
        ctypes.set_errno(errno.EAGAIN)
        return int(sent)

    monkeypatch.setattr(sendmmsg, "_sendmmsg", narrow)


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each call of sendmmsg(2) adds how many sends the kernel has taken."""
    real, passes = sendmmsg._sendmmsg, list[int]()

    def counted(fd: int, headers: int, count: int, flags: int) -> int:
        sent = int(real(fd, headers, count, flags))
        passes.append(max(sent, 0))
        return sent

    monkeypatch.setattr(sendmmsg, "_sendmmsg", counted)
    return passes


def a_member(number: int) -> Member:
    granted = a_grant(number)
    return Member.from_grant(granted, token_of(number), TCRP, bytes(4), Room.from_grant(granted), 0.0)


# --- receiving ----------------------------------------------------------------------------------------------------


def test_nothing_there_is_nothing_received(sock: socket.socket) -> None:
    assert DatagramIo(sock).receive() == []


def test_datagrams_come_with_their_addresses_in_order(sock: socket.socket, new_socket: NewSocket) -> None:
    one, two = new_socket(), new_socket()
    sent = []
    for number in range(20):
        sender = (one, two)[number % 3 == 0]
        data = b"%d" % number * (number % 5)
        sender.sendto(data, sock.getsockname())
        sent.append((data, name_of(sender)))
    assert DatagramIo(sock).receive() == sent


def test_a_batch_has_a_bound_and_the_rest_comes_next(sock: socket.socket, new_socket: NewSocket) -> None:
    sender = new_socket()
    for number in range(BATCH + 7):
        sender.sendto(b"%d" % number, sock.getsockname())
    io = DatagramIo(sock)
    assert [data for data, _ in io.receive()] == [b"%d" % number for number in range(BATCH)]
    assert [data for data, _ in io.receive()] == [b"%d" % number for number in range(BATCH, BATCH + 7)]
    assert io.receive() == []


def test_what_is_beyond_the_largest_datagram_is_cut_off(sock: socket.socket, new_socket: NewSocket) -> None:
    sender = new_socket()
    for size in (MAX_UP - 1, MAX_UP, MAX_UP + 1, 9_000, 3):
        sender.sendto(b"x" * size, sock.getsockname())
    assert [len(data) for data, _ in DatagramIo(sock).receive()] == [MAX_UP - 1, MAX_UP, MAX_READ, MAX_READ, 3]


def test_what_was_received_stays_when_more_is_received(sock: socket.socket, new_socket: NewSocket) -> None:
    sender, io = new_socket(), DatagramIo(sock)
    sender.sendto(b"first", sock.getsockname())
    received = io.receive()
    sender.sendto(b"other", sock.getsockname())
    io.receive()
    assert received == [(b"first", name_of(sender))]


# --- sending to one -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1_200, 4_094])
def test_one_datagram_is_sent_from_the_socket(sock: socket.socket, new_socket: NewSocket, size: int) -> None:
    receiver = new_socket()
    assert DatagramIo(sock).send_to(b"x" * size, name_of(receiver))
    assert receiver.recvfrom(9_000) == (b"x" * size, sock.getsockname())


def test_what_the_kernel_refuses_for_good_is_counted(sock: socket.socket) -> None:
    io = DatagramIo(sock)
    other = sockaddr.pack("192.0.2.1" if sock.family == socket.AF_INET6 else "2001:db8::1", 5000)
    assert io.send_to(b"wrong family", other)
    assert io.failed == 1
    assert io.send_to(b"no port", sockaddr.with_port(name_of(sock), 0))
    assert io.failed == 2


# --- fan-out ------------------------------------------------------------------------------------------------------


class Group:
    """Recipients with a socket each."""

    def __init__(self, new_socket: NewSocket, size: int) -> None:
        self.recipients = PreparedRecipients()
        self.members = [a_member(number) for number in range(size)]
        self.sockets = [new_socket() for _ in range(size)]
        for member, sock in zip(self.members, self.sockets, strict=True):
            self.recipients.add(member, name_of(sock))

    def heard(self) -> list[list[bytes]]:
        """What each has got by now."""
        return [take_all(sock) for sock in self.sockets]


@pytest.mark.parametrize("size", [0, 1, 2, 4, 5, 8, 9, 100])
def test_all_of_a_group_hear(sock: socket.socket, new_socket: NewSocket, size: int) -> None:
    group, io = Group(new_socket, size), DatagramIo(sock)
    assert io.send(b"one", group.recipients, -1) == []
    assert io.send("二".encode(), group.recipients, -1) == []
    assert group.heard() == [[b"one", "二".encode()]] * size
    assert io.failed == 0


@pytest.mark.parametrize("size", [1, 2, 5])
def test_all_but_one_hear(sock: socket.socket, new_socket: NewSocket, size: int) -> None:
    group, io = Group(new_socket, size), DatagramIo(sock)
    for skip in range(size):
        assert io.send(b"%d" % skip, group.recipients, skip) == []
    for number, got in enumerate(group.heard()):
        assert got == [b"%d" % skip for skip in range(size) if skip != number]


def test_a_shorter_payload_has_nothing_of_the_one_before(sock: socket.socket, new_socket: NewSocket) -> None:
    group, io = Group(new_socket, 2), DatagramIo(sock)
    for payload in (b"x" * 4_094, b"y", b""):
        io.send(payload, group.recipients, -1)
    assert group.heard() == [[b"x" * 4_094, b"y", b""]] * 2


def test_one_that_can_not_be_reached_does_not_keep_the_others_from_hearing(
    sock: socket.socket, new_socket: NewSocket
) -> None:
    group, io = Group(new_socket, 5), DatagramIo(sock)
    nowhere = sockaddr.with_port(name_of(sock), 0)
    group.recipients.remove(group.members[1])
    group.recipients.add(group.members[1], nowhere)
    group.recipients.remove(group.members[3])
    group.recipients.add(group.members[3], nowhere)
    assert io.send(b"x", group.recipients, -1) == []
    assert [len(got) for got in group.heard()] == [1, 0, 1, 0, 1]
    assert io.failed == 2


def test_the_last_one_takes_the_slot_of_one_that_goes(sock: socket.socket, new_socket: NewSocket) -> None:
    group, io = Group(new_socket, 6), DatagramIo(sock)
    for number in (0, 3, 5):
        group.recipients.remove(group.members[number])
        assert group.members[number].slot == -1
    assert len(group.recipients) == 3
    assert sorted(group.members[number].slot for number in (1, 2, 4)) == [0, 1, 2]
    for number in (1, 2, 4):
        assert group.recipients.address_in(group.members[number].slot) == name_of(group.sockets[number])
    io.send(b"x", group.recipients, group.members[4].slot)
    assert [len(got) for got in group.heard()] == [0, 1, 1, 0, 0, 0]


@given(
    numbers=st.lists(st.integers(0, 40), max_size=150),
    wide=st.booleans(),
)
def test_slots_have_no_holes_whoever_comes_and_goes(numbers: list[int], wide: bool) -> None:
    group = PreparedRecipients()
    inside: dict[int, tuple[Member, bytes]] = {}
    for number in numbers:
        if number in inside:
            group.remove(inside.pop(number)[0])
        else:
            # Both forms of addresses: slots may be reused by one that is shorter.
            host = "2001:db8::1" if wide and number % 2 else "192.0.2.1"
            inside[number] = (a_member(number), sockaddr.pack(host, 1_000 + number))
            group.add(*inside[number])
        assert len(group) == len(inside)
        assert sorted(member.slot for member, _ in inside.values()) == list(range(len(inside)))
        assert all(group.address_in(member.slot) == address for member, address in inside.values())


# --- a full buffer ------------------------------------------------------------------------------------------------


class Clogged:
    """A group of which some recipients take nothing until they are read.

    UDP on loopback never fills a send buffer. UNIX datagram sockets take its place, whose receivers do push back.
    """

    def __init__(self, size: int) -> None:
        self.recipients = PreparedRecipients()
        self.members = [a_member(number) for number in range(size)]
        self.sockets: list[socket.socket] = []
        self.addresses: list[bytes] = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        for _ in range(size):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # The kernel makes up an abstract name: | family: 2 | 0 | five characters |
            sock.bind("")
            self.sockets.append(sock)
            self.addresses.append(struct.pack("=H", socket.AF_UNIX) + sock.getsockname())
        self.sock.setblocking(False)
        for sock in self.sockets:
            sock.setblocking(False)
        self.io = DatagramIo(self.sock)
        for member, address in zip(self.members, self.addresses, strict=True):
            self.recipients.add(member, address)

    def clog(self, number: int) -> None:
        """Let one take nothing more."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, contextlib.suppress(BlockingIOError):
            other.setblocking(False)
            while True:
                other.sendto(b"clog", self.sockets[number].getsockname())

    def heard(self) -> list[list[bytes]]:
        """What each has got by now; a socket that was clogged is not any more."""
        return [[data for data in take_all(sock) if data != b"clog"] for sock in self.sockets]

    def close(self) -> None:
        for sock in (self.sock, *self.sockets):
            sock.close()


@pytest.fixture
def group() -> Iterator[Clogged]:
    group = Clogged(9)
    yield group
    group.close()


@pytest.mark.parametrize(
    ("skip", "clogged", "heard"),
    [(-1, 0, 0), (-1, 5, 5), (-1, 8, 8), (2, 5, 5), (5, 6, 6), (6, 5, 5), (0, 1, 1), (8, 3, 3), (8, 7, 7)],
)
def test_what_the_kernel_has_no_room_for_is_left_over_in_order(
    group: Clogged, skip: int, clogged: int, heard: int
) -> None:
    group.clog(clogged)
    left = group.io.send(b"x", group.recipients, skip)
    assert left == [(b"x", group.addresses[number]) for number in range(clogged, 9) if number != skip]
    assert group.heard() == [[b"x"] if number < heard and number != skip else [] for number in range(9)]
    assert group.io.failed == 0
    # One by one they go when there is room again.
    assert all(group.io.send_to(payload, address) for payload, address in left)
    assert [len(got) for got in group.heard()] == [int(number >= clogged and number != skip) for number in range(9)]


def test_one_datagram_that_finds_no_room_is_not_sent(group: Clogged) -> None:
    group.clog(4)
    assert not group.io.send_to(b"x", group.addresses[4])
    assert group.io.send_to(b"x", group.addresses[5])
    assert group.io.failed == 0


def test_a_skipped_one_without_room_holds_nobody_up(group: Clogged) -> None:
    group.clog(4)
    assert group.io.send(b"x", group.recipients, 4) == []
    assert [len(got) for got in group.heard()] == [1, 1, 1, 1, 0, 1, 1, 1, 1]


# --- a listener on all addresses of its host ------------------------------------------------------------------------

HERE = {"ipv4": ("0.0.0.0", ["127.0.0.1", "127.0.0.2", "127.1.2.3"]), "ipv6": ("::", ["::1"]), "both": ("::", [])}


@pytest.fixture(params=["ipv4", *(pytest.param(each, marks=needs_ipv6) for each in ("ipv6", "both"))])
def everywhere(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, list[str]]]:
    """A socket on all addresses, and some of them as a client writes them."""
    host, places = HERE[request.param]
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if host == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, request.param == "ipv6")
        sock.bind((host, 0))
        sock.setblocking(False)
        yield sock, places or ["::1", "127.0.0.1", "127.0.0.2"]


def connected(place: str, port: int) -> socket.socket:
    """A client's socket that hears one address alone."""
    sock = socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE_S)
    sock.connect((place, port))
    return sock


def test_answers_leave_from_the_address_that_a_datagram_came_to(everywhere: tuple[socket.socket, list[str]]) -> None:
    sock, places = everywhere
    io, port = DatagramIo(sock), sock.getsockname()[1]
    clients = [connected(place, port) for place in places * 3]
    try:
        for client in clients:
            client.send(b"here")
        received = io.receive()
        group = PreparedRecipients()
        for number, (data, source) in enumerate(received):
            assert (data, sockaddr.port(source)) == (b"here", clients[number].getsockname()[1])
            assert io.send_to(b"answer", source)
            group.add(a_member(number), source)
            assert group.address_in(number) == source
        assert io.send(b"to all", group, -1) == []
        assert io.send(b"to most", group, 1) == []
        assert [client.recv(100) for client in clients] == [b"answer"] * len(clients)
        assert [client.recv(100) for client in clients] == [b"to all"] * len(clients)
        assert [client.recv(100) for client in clients[:1] + clients[2:]] == [b"to most"] * (len(clients) - 1)
        assert io.failed == 0
    finally:
        for client in clients:
            client.close()


def test_members_that_move_between_slots_keep_their_local_addresses() -> None:
    group = PreparedRecipients()
    members = [a_member(number) for number in range(40)]
    plain = [sockaddr.pack("192.0.2.1", 1_000 + number) for number in range(40)]
    long = [sockaddr.pack("2001:db8::1", 1_000 + number, number) for number in range(40)]
    addresses = [
        (
            plain[number],
            plain[number] + bytes((127, 0, 0, number + 1)),
            long[number],
            long[number] + bytes(15) + bytes((number + 1,)) + struct.pack("=I", number),
        )[number % 4]
        for number in range(40)
    ]
    expected = dict(zip(members, addresses, strict=True))
    for member, address in expected.items():
        group.add(member, address)
    for member in members[::3]:
        group.remove(member)
        del expected[member]
    assert {member.id: group.address_in(member.slot) for member in expected} == {
        member.id: address for member, address in expected.items()
    }


def test_a_local_address_that_is_gone_is_the_kernels_choice_and_stops_nobody(
    everywhere: tuple[socket.socket, list[str]], new_receiver: Callable[[int], socket.socket]
) -> None:
    sock, _ = everywhere
    receivers = [new_receiver(sock.family) for _ in range(6)]
    io = DatagramIo(sock)
    group = PreparedRecipients()
    gone = bytes((192, 0, 2, 77)) if sock.family == socket.AF_INET else bytes((0xFD,)) + bytes(19)
    for number, receiver in enumerate(receivers):
        address = name_of(receiver)
        group.add(a_member(number), address + gone if number % 2 else address)
    assert io.send(b"hello", group, -1) == []
    assert io.send_to(b"alone", group.address_in(1))
    assert [receiver.recv(100) for receiver in receivers] == [b"hello"] * 6
    assert receivers[1].recv(100) == b"alone"
    # It is tried again each time: it may come back.
    assert group.address_in(1).endswith(gone)
    assert io.failed == 0


@pytest.fixture
def new_receiver() -> Iterator[Callable[[int], socket.socket]]:
    opened: list[socket.socket] = []

    def make(family: int) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        opened.append(sock)
        sock.settimeout(PATIENCE_S)
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return sock

    yield make
    for sock in opened:
        sock.close()


def test_a_socket_on_one_address_learns_no_other(sock: socket.socket, new_socket: NewSocket) -> None:
    sender, io = new_socket(), DatagramIo(sock)
    sender.sendto(b"x", sock.getsockname())
    assert not io.learns_local
    assert io.receive() == [(b"x", name_of(sender))]


def test_each_of_many_local_addresses_is_told_and_only_some_are_remembered() -> None:
    # With a local route, all addresses of a network may be this host's.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 0))
        sock.setblocking(False)
        io = DatagramIo(sock)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(1, 21):
                sender.sendto(b"%d" % number, (f"127.0.0.{number}", sock.getsockname()[1]))
        assert [sockaddr.local(source)[3] for _, source in io.receive()] == list(range(1, 21))
    assert sockaddr.received_local.cache_parameters()["maxsize"] == sockaddr.KNOWN


# --- several at once ----------------------------------------------------------------------------------------------


def numbered(sizes: list[int]) -> list[bytes]:
    """Payloads of these sizes, each another one."""
    return [(b"%d " % at * size)[:size] for at, size in enumerate(sizes)]


RUNS = st.lists(
    st.tuples(st.sampled_from([0, 1, 30, 30, 30, 30, 50, 1_200, 1_500]), st.integers(-1, 4)), min_size=2, max_size=90
)


@given(RUNS)
def test_each_recipient_gets_all_payloads_in_order_except_its_own(run: list[tuple[int, int]]) -> None:
    payloads, skips = numbered([size for size, _ in run]), [skip for _, skip in run]
    with contextlib.ExitStack() as stack:
        sock, *receivers = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(6))
        for each in (sock, *receivers):
            each.bind(("127.0.0.1", 0))
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        io, group = DatagramIo(sock), PreparedRecipients()
        for number, receiver in enumerate(receivers):
            group.add(a_member(number + 1), name_of(receiver))
        assert io.send_many(payloads, skips, group) == []
        for slot, receiver in enumerate(receivers):
            expected = [payload for payload, skip in zip(payloads, skips, strict=True) if skip != slot]
            assert take_all(receiver) == expected
        assert io.send_many_to(payloads, name_of(receivers[0])) == len(payloads)
        assert take_all(receivers[0]) == payloads


def test_datagrams_that_the_kernel_does_not_cut_are_sent_one_by_one_from_then_on(
    sock: socket.socket, new_socket: NewSocket
) -> None:
    so_no_check = 11  # without checksums the kernel cuts nothing (udp_send_skb in net/ipv4/udp.c)
    receivers = [new_socket(), new_socket()]
    io, group = DatagramIo(sock), PreparedRecipients()
    for number, receiver in enumerate(receivers):
        group.add(a_member(number + 1), name_of(receiver))
    payloads = numbered([40, 40, 40, 20])
    sock.setsockopt(socket.SOL_SOCKET, so_no_check, 1)
    if sock.family == socket.AF_INET6:
        no_check6_tx, no_check6_rx = 101, 102
        sock.setsockopt(socket.IPPROTO_UDP, no_check6_tx, 1)
        for receiver in receivers:
            receiver.setsockopt(socket.IPPROTO_UDP, no_check6_rx, 1)
    for _ in range(2):
        assert io.send_many(payloads, [-1, 1, -1, -1], group) == []
        assert [take_all(receiver) for receiver in receivers] == [payloads, payloads[:1] + payloads[2:]]
    assert io.largest_segment == 39
    assert io.failed == 0


def test_the_others_get_bursts_beside_some_that_can_not_be_reached(
    sock: socket.socket, new_socket: NewSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers = [new_socket() for _ in range(6)]
    io, group = DatagramIo(sock), PreparedRecipients()
    unreachable, nowhere = (0, 3, 5), sockaddr.with_port(name_of(sock), 0)
    for number, receiver in enumerate(receivers):
        group.add(a_member(number + 1), nowhere if number in unreachable else name_of(receiver))
    passes = count_passes(monkeypatch)
    payloads = numbered([40, 40, 40, 20])
    assert io.send_many(payloads, [-1] * 4, group) == []
    assert [take_all(each) for each in receivers] == [[] if at in unreachable else payloads for at in range(6)]
    assert sum(passes) == 3
    assert io.failed == len(unreachable) * len(payloads)
    assert io.largest_segment == segments.LARGEST


def test_payloads_for_which_there_is_no_room_are_left_over_in_order(
    sock: socket.socket, new_socket: NewSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers = [new_socket() for _ in range(3)]
    io, group = DatagramIo(sock), PreparedRecipients()
    for number, receiver in enumerate(receivers):
        group.add(a_member(number + 1), name_of(receiver))
    names = [name_of(receiver) for receiver in receivers]
    leave_room(1, monkeypatch)
    payloads = numbered([40, 40, 60])
    left = io.send_many(payloads, [-1, 2, 0], group)
    assert take_all(receivers[0]) == payloads[:2]
    for slot, skipped in ((1, ()), (2, (1,))):
        expected = [payload for at, payload in enumerate(payloads) if at not in skipped]
        assert [payload for payload, address in left if address == names[slot]] == expected
    assert [payload for payload, address in left if address == names[0]] == []
