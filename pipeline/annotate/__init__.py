"""Stages over shards: addresses of their results, views of the text, and the waves that compute them."""
