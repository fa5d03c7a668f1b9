"""What a service's numbers say: rates and quantiles out of two readings of /metrics; knows no network and no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

GATEWAY, BROKER = "tsudoi_gateway_", "tsudoi_broker_"
DROPS = f"{GATEWAY}dropped_total"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """All numbers of one process at one moment."""

    at: float
    """Monotonic seconds."""
    numbers: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    error: str = ""
    """Why there are none."""

    @classmethod
    def parse_untrusted(cls, text: str, at: float) -> Self:
        """Return what stands in Prometheus' text format; what is not that is a reading with an error."""
        try:
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            numbers = {(s.name, tuple(sorted(s.labels.items()))): float(s.value) for s in samples}
        except Exception as exc:  # The library promises nothing of what it raises for other texts.
            return cls(at, {}, f"not metrics: {type(exc).__name__}")
        return cls(at, numbers)

    @property
    def program(self) -> str:
        """What it is: gateway, broker or nothing of ours."""
        for prefix, name in ((GATEWAY, "gateway"), (BROKER, "broker")):
            if any(key.startswith(prefix) for key, _ in self.numbers):
                return name
        return ""

    def total(self, name: str) -> float:
        """Return a number, its labels' added up; 0 if it is not told."""
        return sum(value for (key, _), value in self.numbers.items() if key == name)

    def by_label(self, name: str) -> dict[str, float]:
        """Return what each value of a number's label has."""
        return {labels[0][1]: value for (key, labels), value in self.numbers.items() if key == name and labels}

    def buckets(self, name: str) -> dict[float, float]:
        """Return a histogram's buckets: upper bound → how many were below."""
        return {float(bound): value for bound, value in self.by_label(f"{name}_bucket").items()}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two readings of one process, one after the other."""

    before: Reading
    now: Reading

    @property
    def seconds(self) -> float:
        """Time between them."""
        return self.now.at - self.before.at

    def rate(self, name: str) -> float:
        """Return how fast a counter goes, a second; 0 after a restart."""
        return max(self.now.total(name) - self.before.total(name), 0.0) / self.seconds if self._compares else 0.0

    def grown(self, name: str) -> dict[str, float]:
        """Return what each value of a counter's label has got since, of those that have."""
        before = self.before.by_label(name) if self._compares else {}
        grown = {label: value - before.get(label, 0.0) for label, value in self.now.by_label(name).items()}
        return {label: value for label, value in grown.items() if value > 0} if self._compares else {}

    def quantile(self, name: str, share: float) -> float | None:
        """Return a bound that `share` of a histogram's values since were below; None if there were none."""
        before, now = self.before.buckets(name), self.now.buckets(name)
        if not self._compares or not now:
            return None
        counts = {bound: value - before.get(bound, 0.0) for bound, value in sorted(now.items())}
        whole = counts.get(float("inf"), 0.0)
        if whole <= 0:
            return None
        return next(bound for bound, count in counts.items() if count >= share * whole)

    @property
    def _compares(self) -> bool:
        return bool(self.before.numbers) and self.seconds > 0


@dataclass(frozen=True, slots=True)
class View:
    """One row: a process, as a person wants to see it."""

    name: str
    program: str
    state: str
    """`ok`, `ill`, or why it could not be asked."""
    rooms: float
    members: float
    per_second_in: float
    per_second_out: float
    p50_s: float | None
    p99_s: float | None
    """Of a gateway: until messages are accepted. Of a broker: of a commit."""
    waiting: float
    repairs: float
    """Gaps a second."""
    drops: dict[str, float]
    """Reason → how many since the last reading, of those that were."""
    cpu: float
    """Share of one core."""
    memory: float
    """Bytes."""


def view(name: str, pair: Pair) -> View:
    """Return what a process's two readings say."""
    now = pair.now
    program = now.program
    prefix = GATEWAY if program == "gateway" else BROKER
    state = now.error or ("not a gateway nor a broker" if not program else "")
    spread = f"{prefix}{'accept' if program == 'gateway' else 'commit'}_seconds"
    return View(
        name,
        program,
        state or ("ok" if now.total(f"{prefix}healthy") else "ill"),
        now.total(f"{prefix}rooms"),
        now.total(f"{prefix}members"),
        pair.rate(f"{GATEWAY}datagrams_total" if program == "gateway" else f"{BROKER}entries_total"),
        pair.rate(f"{GATEWAY}deliveries_total"),
        pair.quantile(spread, 0.5),
        pair.quantile(spread, 0.99),
        now.total(f"{GATEWAY}queue_length") + now.total(f"{BROKER}passwords_waiting"),
        pair.rate(f"{GATEWAY}gaps_total"),
        pair.grown(DROPS) | pair.grown(f"{BROKER}refused_frames_total"),
        pair.rate("process_cpu_seconds_total"),
        now.total("process_resident_memory_bytes"),
    )


def names_read() -> Iterable[str]:
    """Return all names that a view is made of, so that a test can hold them against what is told."""
    common = ("healthy", "rooms", "members")
    yield from (f"{prefix}{name}" for prefix in (GATEWAY, BROKER) for name in common)
    yield from (f"{GATEWAY}{name}" for name in ("datagrams_total", "deliveries_total", "accept_seconds", "gaps_total"))
    yield from (f"{GATEWAY}queue_length", DROPS)
    yield from (
        f"{BROKER}{n}" for n in ("entries_total", "commit_seconds", "passwords_waiting", "refused_frames_total")
    )
