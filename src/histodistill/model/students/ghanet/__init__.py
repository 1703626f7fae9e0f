"""G-HANet: attention led by tokens that reconstruct genes in training."""
