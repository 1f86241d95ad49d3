"""Commands that look at a finished build or release."""
