"""Routes, one module per subject; each asks one use case and says it in JSON."""
