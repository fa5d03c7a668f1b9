"""Keys of gateways and operators that the broker lets in."""
