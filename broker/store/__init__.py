"""The broker's durable state: one interface, and its engines."""
