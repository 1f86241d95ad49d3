"""The state of a store, and the tasks that are missing in it."""
