"""Networks that read slides and genes, one file each, declared in ``MULTIMODAL_TEACHERS``."""
