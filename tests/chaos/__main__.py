from tests.chaos.cli import main

main()
