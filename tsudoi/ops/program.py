"""Find the programs under either name: `gateway` in the tree is `tsudoi.gateway` where it is installed."""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def module_name(program: str) -> str:
    """Return the name of a program's package beside this one."""
    installed = f"tsudoi.{program}"
    return installed if find_spec(installed) else program


def import_program(module: str) -> ModuleType:
    """Import a module of another program, `broker.core` for example, under the name that it has here."""
    program, _, rest = module.partition(".")
    return import_module(f"{module_name(program)}.{rest}")


def program_command(program: str) -> tuple[str, ...]:
    """Return the command that starts a program from the same tree or the same site-packages as this one."""
    module = module_name(program)
    # -P: an installed program must not import what lies in the working directory, as a user's own client.py.
    return (sys.executable, "-P", "-m", module) if "." in module else (sys.executable, "-m", module)
