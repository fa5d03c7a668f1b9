"""The gateway's side of the backbone: what it has for the broker, and what the broker has not accepted yet."""
