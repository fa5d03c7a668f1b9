"""Shared code to configure and operate the programs: settings, command lines, logs, metrics, keys, limits."""
