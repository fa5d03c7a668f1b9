"""The gateway's side of the backbone: numbered items, questions, canaries, and the sockets to the broker."""
