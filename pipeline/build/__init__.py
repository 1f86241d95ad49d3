"""The order of a run, and another release of a finished one."""
