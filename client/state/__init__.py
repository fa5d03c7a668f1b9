"""What the terminal client knows and shows, as values: events in, commands and rows out; no terminal, clock or I/O."""
