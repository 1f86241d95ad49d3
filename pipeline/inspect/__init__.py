"""Commands that inspect a finished build or a release."""
