"""Training data and training of the shipped models."""
