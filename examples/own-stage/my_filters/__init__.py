"""Stages of one's own, outside of bicorpus."""
