"""Kernels for scripts: Unicode scripts, Han characters and forms of writing."""
