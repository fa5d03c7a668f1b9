"""The operator's service: what it decides, its socket, its client and its command line."""
