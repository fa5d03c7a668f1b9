"""How fast, how small, how exact: `make bench` measures it all on the machine at hand and writes RESULTS.md."""
