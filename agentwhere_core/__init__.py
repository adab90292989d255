"""Decisions and adapters of Agent Where; knows nothing of SQL, Dagster or the web."""
