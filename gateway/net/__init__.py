"""What touches the world: sockets, threads, signals. Decides nothing."""
