"""The broker: room directory, one order per room, the log, fan-out by topic."""
