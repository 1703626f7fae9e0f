"""Use cases from beginning to end, as the command line runs them and Python can."""
