"""The operator's page: a small HTTP server in a process of its own, which asks the broker as the command line does."""
