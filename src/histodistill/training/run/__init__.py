"""Many fits: their folders, and the processes that run them."""
