"""Proxy models: small language models that are trained on a corpus to compare it with another.

A proxy answers one question: of two corpora, which teaches a model more from the same number of tokens. `model` is a
decoder of the usual form, `train` trains one and measures it, `skills` makes tasks with known answers. PyTorch is
imported inside functions. See docs/ablate.md.
"""
