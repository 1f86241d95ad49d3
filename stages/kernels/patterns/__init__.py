"""Kernels that search text for patterns: personal data, URLs and boilerplate lines."""
