"""The measurements: each starts its services, lets them take turns and returns its rows."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.joining import Seat, join_all, seats, write_members
from benchmarks.load import Load, Run
from benchmarks.processes import CORES, LOAD_CORE, SERVICE_CORE, Nothing, Sendmmsg, Tsudoi
from benchmarks.runner import Company, Row, Runner, median_of, ratio_of, relay, tsudoi

TEXT_SIZE = 100
DOWN_SIZE = TEXT_SIZE + len("user-0: ")
STEADY = (20_000, 60_000)
"""Deliveries a second at which all rooms are compared with the relay."""

Case = Callable[[Runner], list[Row]]


def us(run: Run) -> float:
    """Processor time of one delivery."""
    return run.us_per_delivery


def p50(run: Run) -> float:
    """What half of the deliveries came within, in microseconds."""
    return run.p50


def p99(run: Run) -> float:
    """What 99 in 100 deliveries came within, in microseconds."""
    return run.p99


@contextmanager
def bare_floor(runner: Runner, size: int) -> Iterator[Callable[[float], float]]:
    """Yield what tells the CPU in µs of one datagram of bare `sendmmsg` to so many, at a rate of messages a second."""
    with TemporaryDirectory() as folder, Sendmmsg(size, DOWN_SIZE, (SERVICE_CORE,)) as bare:
        write_members(Path(folder, "members"), seats(1, size), ["0" * 32] * size)
        with Load(Path(folder, "members"), bare.udp, spin=True) as ears:
            ears.register()

            def floor(rate: float) -> float:
                seconds = runner.pick(2.0, 0.5)
                ears.say(f"run 1 0 {seconds + 0.3} 0.1 0 {bare.pid}")
                time.sleep(0.1)
                answer = bare.ask(f"run {rate} {seconds}", 30)
                ears.hear(30)
                return 1e6 * float(answer["cpu"]) / float(answer["sent"])

            yield floor


def _above_floor(
    runner: Runner, floor: Callable[[float], float], ours: Company, rate: float
) -> tuple[list[Run], float, float]:
    """Take turns with bare sendmmsg; return our runs, its CPU in µs a datagram, and the ratio."""
    floors, runs = [], []
    for _ in range(runner.rounds):
        floors.append(floor(rate))
        runs.append(runner.run(ours.load, ours.service, rate, may_lose=True))  # it is the limit
    ratio = statistics.median(us(run) / bare_us for run, bare_us in zip(runs, floors, strict=True))
    return runs, statistics.median(floors), ratio


def one_large_room(runner: Runner) -> list[Row]:
    """One room of 1000, a few of whom talk."""
    size = 1000
    wanted = seats(1, size, senders=50)
    with tsudoi(wanted) as ours:
        rate, rows = _against_relay(runner, ours, "one room of 1000, 50 send", wanted, size, 250, "large")
        with bare_floor(runner, size) as floor:
            runs, bare_us, ratio = _above_floor(runner, floor, ours, rate)
    cost = Row(
        "one room of 1000, CPU at that rate",
        f"{rate * size:,.0f} deliveries/s, {median_of(runs, us):.2f} µs CPU each",
        f"C sendmmsg {bare_us:.2f} µs",
        ratio,
        f"p99 {median_of(runs, p99) / 1e3:.1f} ms",
        "large bare",
    )
    return [rows[0], cost, *rows[1:]]


def _against_relay(
    runner: Runner, ours: Company, title: str, seated: Sequence[Seat], size: int, start: float, aim: str
) -> tuple[float, list[Row]]:
    """Return the highest rate that is held on one core, and rows for that and for rates at which both keep up."""
    with relay(seated) as theirs:
        # Without time for it, the relay's limit is left out; ours are what a change may have moved.
        rivals = [ours.rival] if runner.quick else [ours.rival, theirs.rival]
        (highest, held), *others = runner.highest_rates(rivals, start)
        most = others[0][0] if others else 0.0
        steady = [(deliveries, runner.turns([ours.rival, theirs.rival], deliveries / size)) for deliveries in STEADY]
    return highest, [
        Row(
            f"{title}, highest rate on one core",
            f"{highest:,.0f} messages/s in, {highest * size:,.0f} out",
            f"C relay {most:,.0f} in" if most else "",
            highest / most if most else None,
            f"{held.cores:.2f} cores, p99 {held.p99 / 1e3:.0f} ms, {held.verdict}",
            f"{aim} highest",
        ),
        *(
            Row(
                f"{title}, {deliveries:,} deliveries/s",
                f"{median_of(runs[0], us):.2f} µs CPU a delivery",
                f"C relay {median_of(runs[1], us):.2f} µs",
                ratio_of(runs[0], runs[1], us),
                f"p99 {median_of(runs[0], p99) / 1e3:.1f} ms",
                f"{aim} {deliveries // 1000}",
            )
            for deliveries, runs in steady
        ),
    ]


def one_small_room(runner: Runner) -> list[Row]:
    """One room of 10, all of whom talk."""
    title = "one room of 10, all send"
    with tsudoi(seats(1, 10)) as ours:
        highest, rows = _against_relay(runner, ours, title, seats(1, 10), 10, 16_000, "small")
        with bare_floor(runner, 10) as floor:
            runs, bare_us, ratio = _above_floor(runner, floor, ours, highest)
    cost = Row(
        f"{title}, CPU at that rate",
        f"{median_of(runs, us):.2f} µs CPU a delivery",
        f"C sendmmsg {bare_us:.2f} µs",
        ratio,
    )
    return [rows[0], cost, *rows[1:]]


def one_middle_room(runner: Runner) -> list[Row]:
    """One room of 100, four of whom talk: the rate limits of a member and of a crowd are lifted for that."""
    wanted = seats(1, 100, senders=4)
    with tsudoi(wanted) as ours:
        return _against_relay(runner, ours, "one room of 100, 4 send", wanted, 100, 2_500, "middle")[1]


def many_small_rooms(runner: Runner) -> list[Row]:
    """200 rooms of 5, all of whom talk."""
    with tsudoi(seats(200, 5)) as ours:
        with relay(seats(200, 5)) as theirs:
            waits, floor = runner.turns([ours.rival, theirs.rival], STEADY[0] / 5)
        late = median_of(waits, p99) / 1e3
        gathered = Row(
            f"200 rooms × 5, {STEADY[0]:,} deliveries/s, p99",
            f"{late:.1f} ms",
            f"C relay {median_of(floor, p99) / 1e3:.1f} ms",
            note=f"p50 {median_of(waits, p50) / 1e3:.1f} ms, C relay {median_of(floor, p50) / 1e3:.1f}",
            aim="many p99",
            figure=late,
        )
        rows = _against_relay(runner, ours, "200 rooms × 5, all send", seats(200, 5), 5, 20_000, "many")[1]
    return [*rows, gathered]


def latency(runner: Runner) -> list[Row]:
    """How long a message takes: in a room of 500, and between two in a quiet room."""
    rows = []
    with tsudoi(seats(1, 500, senders=20)) as ours, relay(seats(1, 500, senders=20)) as theirs:
        runs = runner.turns([ours.rival, theirs.rival], 40)
    figures: list[tuple[str, Callable[[Run], float]]] = [("p50", p50), ("p99", p99)]
    for name, figure in figures:
        mine, floor = (median_of(turn, figure) for turn in runs)
        rows.append(
            Row(
                f"one room of 500, 20,000 deliveries/s, latency {name}",
                f"{mine:,.0f} µs",
                f"C relay {floor:,.0f} µs",
                ratio_of(runs[0], runs[1], figure),
                aim=f"room {name}",
            )
        )
    with tsudoi(seats(1, 2)) as ours, relay(seats(1, 2)) as theirs:
        runs = runner.turns([ours.rival, theirs.rival], 40, runner.pick(4.0, 1.0))
    mine, floor = (median_of(turn, p50) for turn in runs)
    rows.append(
        Row(
            "two members in a quiet room, latency p50",
            f"{mine:,.0f} µs",
            f"C relay {floor:,.0f} µs",
            ratio_of(runs[0], runs[1], p50),
            f"{mine - floor:,.0f} µs above the relay; 40 messages/s",
            "quiet p50",
            mine - floor,
        )
    )
    return rows


def joining(runner: Runner) -> list[Row]:
    """Handshakes a second, beside those of a server that does nothing."""
    rows = []
    rooms = 50
    for title, cores, clients in (
        ("the service on one core, its clients on the other", (SERVICE_CORE,), (LOAD_CORE,)),
        ("the service and its clients on all cores", CORES, CORES),
    ):
        with TemporaryDirectory() as folder, Tsudoi(Path(folder), cores=cores) as service, Nothing(cores) as nothing:
            first = 0
            for name, at_once, members, aim in (
                ("one after another", 1, 10, "joins one"),
                ("200 at once", 200, 40, "joins many"),
            ):
                rates, costs, floors = [], [], []
                for _ in range(runner.rounds):
                    wanted = seats(rooms, members, first=first)
                    first += rooms
                    with runner.watch(service, nothing):
                        floors.append(join_all(nothing.tcp, wanted, at_once, clients)[1])
                        before = service.cpu_s()
                        rates.append(join_all(service.tcp, wanted, at_once, clients)[1])
                    costs.append(1e6 * (service.cpu_s() - before) / len(wanted))
                rate = statistics.median(rates)
                rows.append(
                    Row(
                        f"joins, {name}, {title}",
                        f"{rate:,.0f} joins/s, {statistics.median(costs):,.0f} µs CPU each",
                        f"a C server that does nothing {statistics.median(floors):,.0f} joins/s",
                        statistics.median(a / b for a, b in zip(rates, floors, strict=True)),
                        aim=aim,
                        figure=rate,
                    )
                )
    return rows


def idle_members(runner: Runner) -> list[Row]:
    """What 10,000 members cost who say nothing."""
    count = 10_000
    with TemporaryDirectory() as folder, Tsudoi(Path(folder, "data")) as service:
        empty = service.memory()
        at, used = time.monotonic(), service.cpu_s()
        time.sleep(runner.pick(5, 1.5))
        rest = (service.cpu_s() - used) / (time.monotonic() - at)
        wanted = seats(count // 10, 10)
        tokens, _ = join_all(service.tcp, wanted)
        write_members(Path(folder, "members"), wanted, tokens)
        with Load(Path(folder, "members"), service.udp) as load:
            load.register()
            time.sleep(0.5)
            at, used = time.monotonic(), service.cpu_s()
            with runner.watch(service, load):
                time.sleep(runner.pick(10, 3))
            idle = (service.cpu_s() - used) / (time.monotonic() - at)
            full = service.memory()
    return [
        Row(
            "10,000 members in 1,000 rooms, memory",
            f"{(full - empty) / count / 1024:.2f} KiB a member",
            note=f"all processes together: {empty / 2**20:.0f} MiB empty, {full / 2**20:.0f} MiB with all",
            aim="memory",
            figure=(full - empty) / count / 1024,
        ),
        Row(
            "10,000 silent members, CPU",
            f"{100 * idle:.2f} % of a core",
            f"nobody: {100 * rest:.2f} %",
            aim="idle",
            figure=100 * idle,
        ),
    ]


def growth(runner: Runner) -> list[Row]:
    """The same traffic beside more and more rooms, of one member each, in which nothing is said."""
    rows: list[Row] = []
    talking = 20
    with tsudoi(seats(talking, 10)) as ours:
        assert isinstance(ours.service, Tsudoi)
        known, first = talking, 0.0
        for rooms in (100, 5_000) if runner.quick else (100, 10_000, 100_000):
            ours.service.pin(CORES)
            _, joins = join_all(ours.service.tcp, seats(rooms - known, 1, first=known))
            known = rooms
            ours.service.pin((SERVICE_CORE,))
            runs = [runner.run(ours.load, ours.service, 2_000) for _ in range(runner.rounds)]
            cost = median_of(runs, us)
            first = first or cost
            rows.append(
                Row(
                    f"{talking} rooms × 10, 20,000 deliveries/s, among {rooms:,} rooms",
                    f"{cost:.2f} µs CPU a delivery",
                    f"{first:.2f} µs among 100" if rows else "",
                    cost / first if rows else None,
                    f"p99 {median_of(runs, p99) / 1e3:.1f} ms; new rooms came at {joins:,.0f}/s, each with a member",
                    "growth" if rows else "",
                )
            )
    return rows


def second_worker(runner: Runner) -> list[Row]:
    """What a delivery costs the gateways when there are two of them."""
    rows = []
    wanted = seats(200, 5)
    with (
        tsudoi(wanted, "--workers", "1", cores=CORES, spin=False) as one,
        tsudoi(wanted, "--workers", "2", cores=CORES, spin=False) as two,
    ):
        # The second is what a machine at its limit does; what two workers cost is less there, as turns are fuller.
        for rate in (24_000,) if runner.quick else (16_000, 24_000):
            runs = runner.turns([one.rival, two.rival], rate)
            costs: list[list[float]] = []
            for company, made in zip((one, two), runs, strict=True):
                assert isinstance(company.service, Tsudoi)
                gateways = company.service.gateways()
                own = [pid in gateways for pid in company.service.family()]
                costs.append([_share(run, own) for run in made])
            rows.append(
                Row(
                    f"200 rooms × 5, {5 * rate:,} deliveries/s asked for, two workers",
                    f"{statistics.median(costs[1]):.2f} µs CPU a delivery in the gateways,"
                    f" {median_of(runs[1], us):.2f} in all",
                    f"one worker {statistics.median(costs[0]):.2f} µs, {median_of(runs[0], us):.2f} in all",
                    statistics.median(2 * a / b for a, b in zip(*costs, strict=True)),
                    "what two carry ÷ what one carries, if each has a core: 2 × one worker's CPU a delivery ÷ two"
                    f" workers'; derived, as the load needs a core of the {len(CORES)} here; {runs[1][-1].verdict}",
                    "workers",
                )
            )
    return rows


def _share(run: Run, own: list[bool]) -> float:
    """Return the CPU in µs a delivery of some of the processes."""
    used = sum(window for window, counts in zip(run.cpu, own, strict=True) if counts)
    return 1e6 * used / max(run.heard_in_window, 1)


CASES: dict[str, Case] = {
    "large": one_large_room,
    "middle": one_middle_room,
    "small": one_small_room,
    "many": many_small_rooms,
    "latency": latency,
    "joins": joining,
    "idle": idle_members,
    "growth": growth,
    "workers": second_worker,
}
