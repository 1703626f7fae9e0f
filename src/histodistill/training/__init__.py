"""Training the networks together, and cross-validating them honestly."""
