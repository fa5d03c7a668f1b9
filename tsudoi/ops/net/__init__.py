"""I/O of the programs' operation."""
