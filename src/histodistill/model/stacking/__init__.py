"""Several models trained in one pass."""
