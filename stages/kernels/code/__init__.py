"""Kernels for source code: code blocks, code lines and shell commands."""
