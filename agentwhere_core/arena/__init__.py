"""The arena: models that trade side by side, each on an account of its own (L1–L5)."""
