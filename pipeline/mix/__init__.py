"""Mixes: quotas of tokens per group, repetitions, and training order."""
