"""Where posts come from: X accounts and research feeds, read by their public protocols."""
