"""Honest figures: equity, APR, Sharpe and the rest."""
