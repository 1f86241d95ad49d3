"""Numba kernels over Arrow buffers: no Python object per document."""
