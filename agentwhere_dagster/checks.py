"""Checks."""

checks: list[object] = []
