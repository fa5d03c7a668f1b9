"""Choose the way of a client's packets: UDP, or TCP where UDP does not pass; PROTOCOL.md, "Over TCP". No I/O.

A *way* is an address of the server and a transport: the address's index for UDP, its complement (`~index`) for TCP.
This module decides when to try which; `client_link` sends.

Trying TCP is expensive for a server to which thousands come back, so a client to which UDP has passed before tries it
less and less often. Going back to UDP takes two answers some seconds apart, and longer after each failure, so that a
network that fails again is not chosen at once.

Where UDP has passed before, silence more often means that the server is being started again, and its TCP port answers
first. So UDP is probed soon, and the user is told only when that fails.
"""

from random import Random

PATIENCE_S = 1.5
"""How long a `resume` by UDP may have no answer before TCP is tried too."""
PASSED_PATIENCE_S = 2.5
"""The same, where UDP has passed before."""
TCP_S = 2.0
"""Between two tries by TCP; where UDP has passed before, twice as long each time, up to `LAST_TCP_S`."""
LAST_TCP_S = 30.0
PROBE_S = 30.0
"""From the first moment by TCP to the first probe of UDP, and after a probe that failed, at first."""
LAST_PROBE_S = 600.0
TRIAL_S = 3.0
"""From the first moment by TCP to the first probe where UDP has passed before."""
CONFIRM_S = 10.0
"""From the first answered probe to the second."""
REPEAT_S = 0.4
REPEATS = 3
"""A probe is so many packets: one may be lost, or overtaken by packets by TCP, after which it is not answered."""
ANSWER_S = 1.5
"""How long the answer to a probe may take after its last packet."""
CALM_S = 600.0
"""How long UDP must pass after a return to it, so that the return counts as right."""
TRIAL_CALM_S = 30.0
"""The same after a return by the first probe: that UDP did not pass was the server's fault."""
SPREAD_S = 0.5
"""A connection that ends is replaced within so long, at random: the members of a gateway that dies come together."""


def by_tcp(server: int) -> int:
    """Return the way by TCP to an address."""
    return ~server


def is_tcp(way: int) -> bool:
    return way < 0


def server_of(way: int) -> int:
    """Return the index of the address to which a way leads."""
    return ~way if way < 0 else way


class Path:
    """The decisions of one session."""

    def __init__(self, dice: Random, *, has_tcp: bool) -> None:
        """Begin by UDP; without TCP, all stays so."""
        self._dice = dice
        self.has_tcp = has_tcp
        """Packets can be sent by TCP."""
        self.is_tcp = False
        """The session is served by TCP, or was at last."""
        self._has_passed = False
        """UDP has passed in this session."""
        self._try_at: float | None = None
        """When to resume by TCP too; None: this session is served."""
        self._try_s = TCP_S
        self._is_fresh = False
        self._probe_at: float | None = None
        """When to send the next packet of a probe, or to give the probe up; None: nothing is probed."""
        self._probe_s = PROBE_S
        """How long to wait after the next probe that fails, or before the first one."""
        self._first_probe_s = PROBE_S
        self._sent = 0
        """Packets of the probe; 0: none is under way."""
        self._has_answered = False
        """The last probe was answered."""
        self._is_returning = False
        """It resumes by UDP, which has answered its probes."""
        self._is_trial = False
        """UDP has passed before, and no probe has failed since: perhaps the server alone was away."""
        self._right_at: float | None = None
        """When the last return to UDP counts as right; None: there was none."""

    @property
    def is_blocked(self) -> bool:
        """Whether UDP is known not to pass."""
        return self.is_tcp and not self._is_trial

    def deadline(self) -> float | None:
        """Return when `tries` or `probes` has something to do; None: never."""
        return self._probe_at if self._try_at is None else self._try_at

    # --- resuming ---

    def begin(self, now: float, *, is_return: bool = False) -> None:
        """Note that the session has to be resumed; `is_return`: by UDP, which has answered its probes."""
        self._sent, self._probe_at, self._has_answered = 0, None, False
        self._is_returning = is_return
        if self.has_tcp:
            patience_s = PASSED_PATIENCE_S if self._has_passed and not self.is_tcp else PATIENCE_S
            self._try_at, self._try_s = now + (0.0 if self.is_tcp and not is_return else patience_s), TCP_S

    def tries(self, now: float) -> bool:
        """Return whether to send a `resume` by TCP now."""
        if self._try_at is None or now < self._try_at:
            return False
        self._try_at = now + self._try_s * self._dice.uniform(0.8, 1.2)
        if self._has_passed and not self.is_tcp:
            self._try_s = min(2 * self._try_s, LAST_TCP_S)
        return True

    def takes_fresh(self) -> bool:
        """Return whether the `resume` by TCP that is sent now needs a new connection; call it once for each."""
        is_fresh, self._is_fresh = self._is_fresh, True
        return is_fresh

    def note_retry(self) -> None:
        """Note that a retry has come by TCP: the connection works."""
        self._is_fresh = False

    def leave_udp(self, now: float) -> None:
        """Note that UDP carries small packets only, so that probes prove nothing; after `begin`."""
        self._try_at = now
        self._first_probe_s, self._right_at = LAST_PROBE_S, now + CALM_S

    def lose(self, now: float) -> None:
        """Note that the connection has ended which served this session; after `begin`."""
        self._is_fresh = True
        self._try_at = now + self._dice.uniform(0.0, SPREAD_S)

    def move(self) -> None:
        """Note that this client has another network: what was learned of the one before does not hold."""
        self._is_fresh, self._has_passed = True, False
        self._first_probe_s, self._right_at = PROBE_S, None

    def resumed(self, way: int, now: float) -> None:
        """Note that the session is served by a way."""
        was_tcp, self.is_tcp = self.is_tcp, is_tcp(way)
        self._try_at, self._is_fresh = None, False
        if not self.is_tcp:
            self._has_passed = True
            if was_tcp:
                self._right_at = now + (TRIAL_CALM_S if self._is_trial else CALM_S)
            self._is_trial = False
            return
        if not was_tcp:
            was_wrong = self._right_at is not None and now < self._right_at
            self._first_probe_s = min(2 * self._first_probe_s, LAST_PROBE_S) if was_wrong else PROBE_S
            self._probe_s = self._first_probe_s
            self._is_trial = self._has_passed and not was_wrong
        elif self._is_returning:
            self._probe_s, self._is_trial = min(2 * self._probe_s, LAST_PROBE_S), False
        self._sent, self._has_answered = 0, False
        self._probe_at = now + (TRIAL_S if self._is_trial else self._probe_s) * self._dice.uniform(0.9, 1.1)

    # --- probing UDP, while the session is served by TCP ---

    def probes(self, now: float) -> bool:
        """Return whether to send a packet of a probe now: a `resume` without a cookie, by UDP."""
        if self._probe_at is None or now < self._probe_at:
            return False
        if self._sent < REPEATS:
            self._sent += 1
            self._probe_at = now + (REPEAT_S if self._sent < REPEATS else ANSWER_S)
            return True
        if not self._is_trial:
            self._probe_s = min(2 * self._probe_s, LAST_PROBE_S)
        self._sent, self._has_answered, self._is_trial = 0, False, False
        self._probe_at = now + self._probe_s * self._dice.uniform(0.9, 1.1)
        return False

    @property
    def is_probing(self) -> bool:
        """Whether a retry by UDP answers a probe."""
        return self._sent > 0

    def take_answer(self, now: float) -> bool:
        """Take the answer to a probe; return whether to go back to UDP."""
        self._sent = 0
        if self._has_answered:
            return True
        self._has_answered = True
        self._probe_at = now + CONFIRM_S
        return False
