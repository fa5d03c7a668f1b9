"""Measure how late lines of version 2 come through a network that loses a tenth each way: `python -m benchmarks.lossy`.

A service of one process, a relay for each round trip, and pairs of SDK clients: one talks, the other listens. It prints
how long after `post` a line is heard, beyond the round trip. Up and down cross the relay, and each is half of it.
"""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click

import tsudoi
from tests.support.services import Gateway, at
from tests.support.udp_relay import UdpFaults, relay_process

LOSS = 0.1
CASES = ((0.04, 10, 3), (0.14, 10, 3), (0.3, 10, 3), (0.3, 1, 30))
"""Round trip in seconds, lines a second, pairs."""


@click.command()
@click.option("--seconds", default=40.0, show_default=True, help="How long they talk; all cases at once.")
def main(seconds: float) -> None:
    """Print a line for each case."""
    with ExitStack() as stack:
        data = stack.enter_context(TemporaryDirectory(prefix="tsudoi-"))
        service = stack.enter_context(Gateway(data=Path(data)))
        ports = [
            stack.enter_context(relay_process(service.udp, UdpFaults(drop=LOSS, latency_s=round_trip_s / 2), seed))
            for seed, (round_trip_s, _, _) in enumerate(CASES)
        ]
        asyncio.run(_measure(service, ports, seconds))


async def _measure(service: Gateway, ports: list[int], seconds: float) -> None:
    pairs = [
        _talk(tsudoi.Server(at(service).host, at(service).tcp, port), f"{case}.{pair}", CASES[case][1], seconds)
        for case, port in enumerate(ports)
        for pair in range(CASES[case][2])
    ]
    took = await asyncio.gather(*pairs)
    for case, (round_trip_s, lines_per_s, count) in enumerate(CASES):
        first = sum(each[2] for each in CASES[:case])
        late = sorted(each - round_trip_s for some in took[first : first + count] for each in some)
        at_p = [f"p{p:g} {1000 * late[int(len(late) * p / 100)]:.0f}" for p in (50, 90, 99, 99.9)]
        click.echo(
            f"{1000 * round_trip_s:.0f} ms, {lines_per_s} a second: {len(late)} lines, {', '.join(at_p)} ms late"
        )


async def _talk(server: tsudoi.Server, room: str, lines_per_s: int, seconds: float) -> list[float]:
    """Return how long each line took."""
    alice = await tsudoi.create(room, name="alice", server=server, dialect="tsudoi-2")
    bob = await tsudoi.join(room, name="bob", server=server, dialect="tsudoi-2")
    await alice.say("begin")
    count = int(seconds * lines_per_s)
    said_at: list[float] = []
    took: list[float] = []

    async def listen() -> None:
        async for event in bob:
            if isinstance(event, tsudoi.Message) and event.text != "begin":
                took.append(time.monotonic() - said_at[int(event.text)])
                if len(took) == count:
                    return

    listening = asyncio.create_task(listen())
    begun = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / lines_per_s - time.monotonic()))
        said_at.append(time.monotonic())
        alice.post(str(number))
    await listening
    await bob.vanish()
    await alice.leave()
    return took


if __name__ == "__main__":
    main()
