"""Renewal of shipped tables, presets and pictures."""
