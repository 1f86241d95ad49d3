"""Engines that run tasks, checkpoints of finished tasks, and the progress display."""
