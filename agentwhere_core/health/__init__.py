"""Rules that turn measurements into healthy, degraded or critical."""
