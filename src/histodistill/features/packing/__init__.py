"""All bags of a cohort in one memory-mapped file.

``<key>.bags`` holds the rows of all bags end to end, nothing else; ``<key>.json`` beside it is its
manifest (:mod:`.manifest`): which rows are whose, what the slides' headers said, and sizes, dates
and hashes of the data and of every file that they came from. :func:`write_pack` makes both,
:class:`PackedBags` maps them, and :func:`cached_pack` does what is needed of it in a cache folder
that processes and experiments share.
"""

from histodistill.features.packing.cache import cached_pack, user_cache
from histodistill.features.packing.reading import PackedBags
from histodistill.features.packing.writing import write_pack

__all__ = ["PackedBags", "cached_pack", "user_cache", "write_pack"]
