"""One module per revision, written by ``python -m agentwhere_store.migrations``."""
