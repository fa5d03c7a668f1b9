"""Start the broker."""

from tsudoi.ops.program import run_program

run_program("broker", is_service=True)
