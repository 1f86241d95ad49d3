"""The contract of stages and global steps, checked over a step in anybody's package."""
