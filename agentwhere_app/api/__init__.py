"""The HTTP API: what agents, positions and the system's health look like from outside, and the switches on them."""
