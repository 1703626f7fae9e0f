"""Patch features on disk, and the bags of patients that they make.

Feature files of TRIDENT, CLAM, STAMP and slide2vec and plain arrays are recognised by their
content (:func:`inspect`), checked against each other (:func:`check_slides`) and read
(:func:`read_patches`, :func:`read_coords`). :func:`open_bags` does it for a cohort and returns a
:class:`BagStore`, from which everything else gets its bags: packed in one memory-mapped file
(:mod:`.packing`) where a cache folder is given. :func:`prefetched` makes the next batch while one
is used; :class:`FeatureScaler` standardises patches with the training patients' statistics.
"""

from histodistill.features.bags import BagStore, open_bags
from histodistill.features.formats import check_slides, inspect, read_coords, read_patches
from histodistill.features.packing import PackedBags, user_cache
from histodistill.features.prefetching import prefetched
from histodistill.features.scaling import FeatureScaler
from histodistill.features.slide import SlideFeatures

__all__ = [
    "BagStore",
    "FeatureScaler",
    "PackedBags",
    "SlideFeatures",
    "check_slides",
    "inspect",
    "open_bags",
    "prefetched",
    "read_coords",
    "read_patches",
    "user_cache",
]
