"""The measurements: each sets its stage, takes its turns and returns its rows."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.joining import join_all, seats, write_members
from benchmarks.load import Load, Run
from benchmarks.processes import CORES, LOAD_CORE, SERVICE_CORE, Sendmmsg, Tsudoi, dropped_at
from benchmarks.stage import Row, Stage, median_of, ratio_of, relay, tsudoi

TEXT_SIZE = 100
DOWN_SIZE = TEXT_SIZE + len("user-0: ")

Case = Callable[[Stage], list[Row]]


def us(run: Run) -> float:
    """Processor time of one delivery."""
    return run.us_per_delivery


def verdict(run: Run) -> str:
    """Say in a few words what became of a run's messages."""
    wrong = {"doubled": run.doubled, "out of order": run.disordered + run.fifo_broken, "not sent": run.send_failed}
    words = [f"{run.lost:,} of {run.wanted:,} lost"] + [f"{count} {what}" for what, count in wrong.items() if count]
    return ", ".join(words)


def exercise(stage: Stage) -> list[Row]:
    """500 rooms of 10, each member two messages a second."""
    rows = []
    with TemporaryDirectory() as folder, Tsudoi(Path(folder, "data")) as service:
        members, wanted = Path(folder, "members"), seats(500, 10)
        tokens, _ = join_all(service.tcp, wanted)
        write_members(members, wanted, tokens)
        for title, pinned in (("free on all cores", False), ("all on one core", True)):
            service.pin((SERVICE_CORE,) if pinned else CORES)
            dropped = dropped_at(service.udp)
            with Load(members, service.udp, spin=pinned, core=LOAD_CORE if pinned else None) as load:
                load.register()
                run = stage.run(load, service, 10_000, stage.pick(60, 3), warm=1.0)
            parts = " + ".join(f"{used / run.wall:.2f}" for used, _ in run.cpu)
            dropped = dropped_at(service.udp) - dropped
            rows.append(
                Row(
                    f"500 rooms × 10 × 2/s, {run.wall:.0f} s, {title}",
                    f"{run.cores:.2f} cores ({parts}), p50 {run.p50 / 1e3:.1f} ms, p99 {run.p99 / 1e3:.0f} ms",
                    note=f"{verdict(run)}; dropped by the kernel {dropped} on the way in, {run.dropped_here} out",
                )
            )
    return rows


def one_large_room(stage: Stage) -> list[Row]:
    """One room of 1000, a few of whom talk."""
    size = 1000
    with (
        TemporaryDirectory() as folder,
        tsudoi(seats(1, size, senders=50)) as ours,
        Sendmmsg(size, DOWN_SIZE, (SERVICE_CORE,)) as bare,
    ):
        write_members(Path(folder, "members"), seats(1, size), ["0" * 32] * size)
        with Load(Path(folder, "members"), bare.udp, spin=True) as ears:
            ears.register()

            def floor(rate: float) -> float:
                seconds = stage.pick(2.0, 0.6)
                ears.say(f"run 1 0 {seconds + 0.4} 0.1 0 {bare.pid}")
                time.sleep(0.2)
                answer = bare.ask(f"run {rate} {seconds}", 30)
                ears.hear(30)
                return 1e6 * float(answer["cpu"]) / float(answer["sent"])

            rate, _ = stage.highest_rate(ours.load, ours.service, 200)
            rows = []
            for title, speed in (("highest rate held", rate), ("20,000 deliveries/s", 20.0)):
                floors, runs = [], []
                for _ in range(stage.rounds):
                    floors.append(floor(speed))
                    runs.append(stage.run(ours.load, ours.service, speed))
                ratio = statistics.median(us(run) / bare_us for run, bare_us in zip(runs, floors, strict=True))
                rows.append(
                    Row(
                        f"one room of 1000, {title}",
                        f"{speed * size:,.0f} deliveries/s, {median_of(runs, us):.2f} µs CPU each",
                        f"C sendmmsg {statistics.median(floors):.2f} µs",
                        ratio,
                        f"p99 {median_of(runs, lambda run: run.p99) / 1e3:.1f} ms",
                    )
                )
    return rows


def _against_relay(stage: Stage, title: str, rooms: int, size: int, start: float, rate: float) -> list[Row]:
    with tsudoi(seats(rooms, size)) as ours, relay(seats(rooms, size)) as theirs:
        highest, held = stage.highest_rate(ours.load, ours.service, start)
        # Without time for it, the relay's limit is left out; ours are what a change may have moved.
        most = 0.0 if stage.quick else stage.highest_rate(theirs.load, theirs.service, 1.5 * start)[0]
        runs = stage.turns([(ours.load, ours.service), (theirs.load, theirs.service)], rate)
        return [
            Row(
                f"{title}, highest rate on one core",
                f"{highest:,.0f} messages/s in, {highest * size:,.0f} out",
                f"C relay {most:,.0f} in" if most else "",
                highest / most if most else None,
                f"{held.cores:.2f} cores, p99 {held.p99 / 1e3:.0f} ms, {verdict(held)}",
            ),
            Row(
                f"{title}, {rate * size:,.0f} deliveries/s",
                f"{median_of(runs[0], us):.2f} µs CPU a delivery",
                f"C relay {median_of(runs[1], us):.2f} µs",
                ratio_of(runs[0], runs[1], us),
                f"p99 {median_of(runs[0], lambda run: run.p99) / 1e3:.1f} ms",
            ),
        ]


def one_small_room(stage: Stage) -> list[Row]:
    """One room of 10, all of whom talk."""
    return _against_relay(stage, "one room of 10, all send", 1, 10, 8_000, 6_000)


def many_small_rooms(stage: Stage) -> list[Row]:
    """200 rooms of 5, all of whom talk."""
    return _against_relay(stage, "200 rooms × 5, all send", 200, 5, 12_000, 12_000)


def latency(stage: Stage) -> list[Row]:
    """How long a message takes: in a room of 500, and between two in a quiet room."""
    rows = []
    with tsudoi(seats(1, 500, senders=20)) as ours, relay(seats(1, 500, senders=20)) as theirs:
        runs = stage.turns([(ours.load, ours.service), (theirs.load, theirs.service)], 40)
        figures: list[tuple[str, Callable[[Run], float]]] = [("p50", lambda run: run.p50), ("p99", lambda run: run.p99)]
        for name, figure in figures:
            rows.append(
                Row(
                    f"one room of 500, 20,000 deliveries/s, latency {name}",
                    f"{median_of(runs[0], figure):,.0f} µs",
                    f"C relay {median_of(runs[1], figure):,.0f} µs",
                    ratio_of(runs[0], runs[1], figure),
                )
            )
    with tsudoi(seats(1, 2)) as ours, relay(seats(1, 2)) as theirs:
        runs = stage.turns([(ours.load, ours.service), (theirs.load, theirs.service)], 40, stage.pick(4.0, 1.0))
        p50, floor = (median_of(turn, lambda run: run.p50) for turn in runs)
        rows.append(
            Row(
                "two members in a quiet room, latency p50",
                f"{p50:,.0f} µs",
                f"C relay {floor:,.0f} µs",
                ratio_of(runs[0], runs[1], lambda run: run.p50),
                f"{p50 - floor:,.0f} µs above the relay; 40 messages/s",
            )
        )
    return rows


def joining(stage: Stage) -> list[Row]:
    """Handshakes a second."""
    rows = []
    for title, at_once, members in (("one after another", 1, 4), ("200 at once", 200, 40)):
        rates, costs = [], []
        for _ in range(stage.rounds):
            with TemporaryDirectory() as folder, Tsudoi(Path(folder), cores=(SERVICE_CORE,)) as service:
                before = service.cpu_s()
                wanted = seats(50, members)
                with stage.watch(service):
                    _, rate = join_all(service.tcp, wanted, at_once, (LOAD_CORE,))
                rates.append(rate)
                costs.append(1e6 * (service.cpu_s() - before) / len(wanted))
        rows.append(
            Row(
                f"joins, {title}",
                f"{statistics.median(rates):,.0f} joins/s",
                note=f"{statistics.median(costs):,.0f} µs CPU each; the service on one core, its clients on the other",
            )
        )
    return rows


def idle_members(stage: Stage) -> list[Row]:
    """What 10,000 members cost who say nothing."""
    count = 10_000
    with TemporaryDirectory() as folder, Tsudoi(Path(folder, "data")) as service:
        empty = service.memory()
        at, used = time.monotonic(), service.cpu_s()
        time.sleep(stage.pick(5, 1.5))
        rest = (service.cpu_s() - used) / (time.monotonic() - at)
        wanted = seats(count // 10, 10)
        tokens, _ = join_all(service.tcp, wanted)
        write_members(Path(folder, "members"), wanted, tokens)
        with Load(Path(folder, "members"), service.udp) as load:
            load.register()
            time.sleep(0.5)
            at, used = time.monotonic(), service.cpu_s()
            with stage.watch(service, load):
                time.sleep(stage.pick(10, 3))
            idle = (service.cpu_s() - used) / (time.monotonic() - at)
            full = service.memory()
    return [
        Row(
            "10,000 members in 1,000 rooms, memory",
            f"{(full - empty) / count / 1024:.1f} KiB a member",
            note=f"all processes together: {empty / 2**20:.0f} MiB empty, {full / 2**20:.0f} MiB with all",
        ),
        Row("10,000 silent members, CPU", f"{100 * idle:.2f} % of a core", f"nobody: {100 * rest:.2f} %"),
    ]


def growth(stage: Stage) -> list[Row]:
    """The same traffic beside more and more rooms in which nothing is said."""
    rows = []
    with tsudoi(seats(50, 10)) as ours:
        assert isinstance(ours.service, Tsudoi)
        known, first = 0, 0.0
        for rooms in (100, 1_000) if stage.quick else (100, 1_000, 10_000):
            wanted = seats(rooms - known, 1, first=50 + known)
            join_all(ours.service.tcp, wanted)
            known = rooms
            ours.service.pin((SERVICE_CORE,))
            runs = [stage.run(ours.load, ours.service, 2_000) for _ in range(stage.rounds)]
            _, joins = join_all(ours.service.tcp, seats(1, 100, first=100_000 + rooms))
            cost = median_of(runs, us)
            first = first or cost
            rows.append(
                Row(
                    f"20,000 deliveries/s beside {rooms:,} idle rooms",
                    f"{cost:.2f} µs CPU a delivery",
                    f"{first:.2f} µs beside 100",
                    cost / first,
                    f"p99 {median_of(runs, lambda run: run.p99) / 1e3:.1f} ms; {joins:,.0f} joins/s",
                )
            )
    return rows


CASES: dict[str, Case] = {
    "exercise": exercise,
    "large": one_large_room,
    "small": one_small_room,
    "many": many_small_rooms,
    "latency": latency,
    "joins": joining,
    "idle": idle_members,
    "growth": growth,
}
