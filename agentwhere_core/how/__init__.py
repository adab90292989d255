"""Agent How: each subscriber's policy."""
