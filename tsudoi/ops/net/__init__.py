"""I/O to operate the programs."""
