"""Gated attention over the patches of many bags, in blocks that stay in the cache."""
