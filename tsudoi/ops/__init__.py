"""What gateway and broker need to be operated: their HTTP door, metrics, logs and configuration files."""
