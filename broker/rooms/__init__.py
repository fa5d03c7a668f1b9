"""Rooms, their members, and what each of them may do."""
