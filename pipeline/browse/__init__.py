"""The explorer: a finished build in a browser, read-only, served on this machine."""
