"""Records of sources become documents in shards."""
