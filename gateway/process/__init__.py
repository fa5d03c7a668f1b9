"""Processes: what one gateway process starts, reloads and stops."""
