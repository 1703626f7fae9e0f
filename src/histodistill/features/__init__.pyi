from .bags import BagStore as BagStore, open_bags as open_bags
from .formats import (
    check_slides as check_slides,
    inspect as inspect,
    read_coords as read_coords,
    read_patches as read_patches,
)
from .layouts.base import FeatureLayout as FeatureLayout
from .layouts.registry import LAYOUTS as LAYOUTS
from .packing import PackedBags as PackedBags, user_cache as user_cache
from .prefetching import prefetched as prefetched
from .scaling import FeatureScaler as FeatureScaler
from .slide import SlideFeatures as SlideFeatures
