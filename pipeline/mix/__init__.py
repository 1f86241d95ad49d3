"""Mixes: token quotas of groups, repeats of documents, and training order."""
