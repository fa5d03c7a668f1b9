"""How long rooms stood still: what members notice of a fault."""

from collections import defaultdict

from tests.chaos.clients import key_of
from tests.chaos.cluster.posters import FIRST_ID
from tests.chaos.history import History

SERVED_S = 10.0
"""A client that sent to another gateway in this time may not be served by this one yet."""


def longest_pause_s(history: History) -> float:
    """Return the longest time from a message until a broker took it, at a gateway that ran and served the sender."""
    taken_at = {
        key_of(entry.text.encode()): entry.at_ms / 1000 for log in history.log.values() for entry in log.entries
    }
    uplinks = defaultdict(list)
    for uplink in history.uplinks:
        uplinks[uplink.client].append(uplink)
    longest = 0.0
    for sent in history.sent:
        at = taken_at.get(key_of(sent.text.encode()))
        if at is None or sent.client >= FIRST_ID or at - sent.at <= longest:
            continue
        gateway = f"gateway {sent.gateway}"
        was_down = any(outage.target == gateway and outage.touches(sent.at, at) for outage in history.outages)
        came = any(sent.at - SERVED_S < up.at < at and up.gateway != sent.gateway for up in uplinks[sent.client])
        if not was_down and not came:
            longest = at - sent.at
    return longest
