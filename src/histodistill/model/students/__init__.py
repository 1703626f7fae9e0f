"""Networks that read slides alone, one file each; they declare themselves in ``STUDENTS``."""
