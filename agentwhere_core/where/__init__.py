"""Agent Where: which venue takes a trade, and why."""
