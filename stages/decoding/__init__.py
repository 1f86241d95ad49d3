"""Bytes to text: decompression, archives, HTTP bodies, character encodings and mojibake."""
