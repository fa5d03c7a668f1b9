"""`python -m tsudoi`: the same as the command `tsudoi`."""

from .cli import main

main()
