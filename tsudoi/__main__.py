"""Run the command `tsudoi` as `python -m tsudoi`."""

from .cli import main

main()
