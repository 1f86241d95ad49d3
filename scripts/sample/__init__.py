"""The bundled sample, built from public data."""
