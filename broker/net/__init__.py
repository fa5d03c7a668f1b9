"""The broker's I/O: sockets, threads, signals; no decisions."""
