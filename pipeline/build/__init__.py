"""The order of a run, and further releases of a finished build."""
