"""Ensembles of decision trees over columns: read from LightGBM, stored as plain arrays, evaluated by a kernel."""
