"""All of the client that touches the world."""
