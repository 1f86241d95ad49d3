"""Stages: measurements of documents and decisions about them, without input, output or cluster code."""
