"""From slides to feature files: tissue, patches, encoder, one HDF5 file a slide.

:func:`list_slides` lists them, :func:`with_tissue_files` adds outlines that the user has,
:func:`extract_slides` fills a folder; :class:`ExtractionSettings`
is what every feature file records, and what :func:`read_extraction_settings` reads back, so that
new slides can be extracted in the same way.
"""

import lazy_loader

# Names and where they come from are in __init__.pyi; each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
