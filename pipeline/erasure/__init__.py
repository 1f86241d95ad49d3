"""Takedown: documents and their near copies removed from a store, and kept out of it by tombstones."""
