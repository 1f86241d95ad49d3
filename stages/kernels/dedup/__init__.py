"""Kernels for near duplicates: MinHash, Jaccard similarity, candidate pairs and union-find."""
