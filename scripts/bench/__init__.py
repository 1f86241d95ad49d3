"""Measurements: speed, agreement with other tools, and what the rules of a run file remove."""
