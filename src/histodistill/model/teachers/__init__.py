"""Networks that read genes, alone or with slides, and teach the student."""
