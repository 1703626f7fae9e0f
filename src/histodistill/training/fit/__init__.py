"""One fold: what is trained on its training patients, and how it answers."""
