"""Agent Where on Dagster: assets, checks, schedules and sensors that each call one use case of the flow."""
