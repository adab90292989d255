"""Adapters to venues: one module each, all behind ``protocol``."""
