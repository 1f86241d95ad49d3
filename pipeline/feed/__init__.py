"""Feeding a training step from a release: samples in training order, over ranks and workers, from any position."""
