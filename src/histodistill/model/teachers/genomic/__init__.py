"""Networks that read genes alone, one file each, declared in ``GENOMIC_TEACHERS``."""
