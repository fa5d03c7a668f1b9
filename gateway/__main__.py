"""Start the gateway."""

from tsudoi.ops.program import run_program

run_program("gateway", is_service=True)
