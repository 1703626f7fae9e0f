"""Patch features on disk, and the bags of patients that they make.

Feature files of TRIDENT, CLAM, STAMP and slide2vec and plain arrays (:mod:`.layouts`) are
recognised by their content (:func:`inspect`), checked against each other (:func:`check_slides`)
and read (:func:`read_patches`, :func:`read_coords`). :func:`open_bags` does it for a cohort and
returns a :class:`BagStore`, from which everything else gets its bags: packed in one memory-mapped
file (:mod:`.packing`) where a cache folder is given. :func:`prefetched` makes the next batch while
one is used; :class:`FeatureScaler` standardises patches with the training patients' statistics.
"""

import lazy_loader

# Names and where they come from are in __init__.pyi; each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
