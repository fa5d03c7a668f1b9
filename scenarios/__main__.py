"""Run scenarios."""

from tsudoi.ops.program import run_program

run_program("scenarios")
