"""The machine that computes: its devices, and code compiled for it."""
