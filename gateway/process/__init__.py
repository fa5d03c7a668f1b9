"""Start, reload and stop a gateway and its child processes."""
