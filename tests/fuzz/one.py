"""One target under libFuzzer, until it is done or has found something: `python -m tests.fuzz.one TARGET FLAGS…`"""

import shlex
import sys

import atheris

with atheris.instrument_imports(include=["tsudoi", "broker", "gateway", "client"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv[1]]
    # To minimise, libFuzzer starts what it takes for its program again, by way of a shell.
    again = shlex.join([sys.executable, "-m", "tests.fuzz.one", sys.argv[1]])
    atheris.Setup([again, *sys.argv[2:]], target.one_input)
    atheris.Fuzz()
