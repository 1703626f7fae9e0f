"""Ways to teach the student from a teacher, one file each, declared in ``DISTILLERS``."""
