"""A fold's data, and all that is fitted on its training patients: once, for every method."""
