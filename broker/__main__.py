"""Start the broker."""

from broker.cli import run_program

run_program()
