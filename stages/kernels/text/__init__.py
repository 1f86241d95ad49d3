"""Kernels for text: code points and character classes, lines, words, n-grams and hashes."""
