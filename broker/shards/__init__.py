"""How brokers that share a store divide its shards among them; pure."""
