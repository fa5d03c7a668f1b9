"""What the programs share to be configured and operated: settings, command lines, logs, metrics, keys, limits."""
