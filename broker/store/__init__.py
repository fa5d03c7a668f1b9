"""What must survive the broker: one interface, and its engines."""
