"""Slides: open whole-slide and flat images, find their µm/px and read regions in true colours.

Everything speaks of level-0 pixels and of µm/px, so that no other room needs to know about file
formats or pyramid levels. OpenSlide reads whole-slide formats; Pillow and tifffile read the flat
images that OpenSlide does not know. These libraries are the extra ``slides`` and are imported
only when a slide is opened.
"""

from histodistill.slides.extra import slides_extra
from histodistill.slides.opening import open_slide
from histodistill.slides.resolution import Resolution, find_resolution
from histodistill.slides.slide import Slide
from histodistill.slides.slide_image import SlideImage

__all__ = ["Resolution", "Slide", "SlideImage", "find_resolution", "open_slide", "slides_extra"]
