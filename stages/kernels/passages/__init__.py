"""Kernels for repeated passages: anchors, rolling hashes and equal ranges."""
