"""Start the gateway."""

from gateway.cli import run_program

run_program()
