"""The contract of stages and global steps as checks that apply to a step of any package."""
