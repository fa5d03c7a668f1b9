"""Start the client."""

from tsudoi.ops.program import run_program

run_program("client")
