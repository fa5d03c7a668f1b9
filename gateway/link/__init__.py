"""The gateway's side of the backbone: what it has for the broker, and what the broker has not accepted yet."""

from .link import ALIVE_S, ASK_AGAIN_S, CANARY_S, CLEARED_UP_S, GIVEN_UP, HEALTHY_S, HELLO_S, LEASE_S, Link

__all__ = ["ALIVE_S", "ASK_AGAIN_S", "CANARY_S", "CLEARED_UP_S", "GIVEN_UP", "HEALTHY_S", "HELLO_S", "LEASE_S", "Link"]
