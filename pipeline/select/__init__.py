"""Which documents are kept: verdicts of rules, keepers among duplicates, and guards on what they remove."""
