"""Stages over shards: what addresses their results, views of the text, and the waves that compute them."""
