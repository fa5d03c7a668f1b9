"""Find mistyped environment variables: of the names that no program reads, those that are close to one that is read.

An unknown variable is no mistake by itself: Kubernetes sets `TSUDOI_PORT` and others in each container beside a service
called `tsudoi`, and scripts have variables of their own. So it stops no program, and one that is close to none is
passed over.
"""

import os
import re
from collections.abc import Set
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from .program import import_program
from .settings import each_setting

PREFIX = "TSUDOI_"
CLOSE = 0.65
"""difflib's ratio. TPC and TCP have 0.67, USER and SERVER 0.6."""

_OF_A_SERVICE = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)")
"""What Kubernetes sets for a service, and Docker for a link. Kubernetes' documentation: "Discovering services"."""


def mistyped_variables(own: Set[str]) -> dict[str, str]:
    """Return name in the environment → the variable that may be meant; `own` are those that this program reads."""
    given = {name for name in os.environ if name.startswith(PREFIX) and not _OF_A_SERVICE.fullmatch(name)}
    if not (given := given - own) or not (given := given - _of_services()):
        return {}
    known = own | _of_all_programs()
    # Without their common beginning, which would make any two names alike.
    ends = sorted(name.removeprefix(PREFIX) for name in known)
    found = {name: get_close_matches(name.removeprefix(PREFIX), ends, 1, CLOSE) for name in sorted(given - known)}
    return {name: PREFIX + close[0] for name, close in found.items() if close}


def warn_of_mistyped(logger: Any, own: Set[str]) -> None:
    """Log each of them."""
    for name, close in mistyped_variables(own).items():
        logger.warning("no program reads this environment variable", variable=name, did_you_mean=close)


def _of_services() -> set[str]:
    """Return the variables of settings: an image gives gateway and broker the same. The imports take 40 ms."""
    configs = (import_program(f"{program}.config").Config for program in ("gateway", "broker"))
    return {each.variable for config in configs for each in each_setting(config)}


def _of_all_programs() -> set[str]:
    """Return the variables of all programs. The imports take half a second and 5 MB."""
    names: set[str] = set()
    for program in ("gateway", "broker", "client"):
        with suppress(ImportError):  # a library that only another program needs is missing
            names |= import_program(f"{program}.cli").main.variables()
    return names
