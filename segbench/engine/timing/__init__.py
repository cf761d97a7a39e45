"""Latency and throughput of inference, and the state of the device they were measured in."""
