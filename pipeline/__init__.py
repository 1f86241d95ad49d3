"""The engine: it plans, runs and records stages that it knows only by dotted name."""

__version__ = "0.1.0"
