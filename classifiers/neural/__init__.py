"""Neural networks in general: device and dtype, loading of weights, windows of text, batches of tokens, fetching."""
