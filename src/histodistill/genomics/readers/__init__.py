"""One reader a layout of genomic files, and the recognition of a file's layout by its content."""

from histodistill.genomics.readers.recognition import LAYOUTS, Format, read_matrix

__all__ = ["LAYOUTS", "Format", "read_matrix"]
