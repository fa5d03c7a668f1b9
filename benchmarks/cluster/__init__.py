"""Measure brokers on PostgreSQL: real servers, real broker processes, and load in gateways' frames."""
