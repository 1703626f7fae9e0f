"""MoMKD: attention led by memories of the classes that genes shape in training."""
