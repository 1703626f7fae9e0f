"""One model, epoch by epoch."""
