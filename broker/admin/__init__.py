"""The operators' service: its decisions, socket, client and command line."""
