"""What gateway and broker need to be operated: HTTP listener, metrics, logs, configuration files, limits, key files."""
