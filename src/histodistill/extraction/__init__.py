"""From slides to feature files: tissue, patches, encoder, one HDF5 file a slide.

:func:`find_slides` lists them, :func:`extract_slides` fills a folder; :class:`ExtractionSettings`
is what every feature file records, and what :func:`read_extraction_settings` reads back, so that
new slides can be extracted in the same way.
"""

from histodistill.extraction.feature_file import read_extraction_settings
from histodistill.extraction.output_folder import OutputFolder, SlideRecord
from histodistill.extraction.run import ExtractionSummary, Progress, extract_slides
from histodistill.extraction.settings import ExtractionSettings
from histodistill.extraction.slide_list import SlideEntry, find_slides

__all__ = [
    "ExtractionSettings",
    "ExtractionSummary",
    "OutputFolder",
    "Progress",
    "SlideEntry",
    "SlideRecord",
    "extract_slides",
    "find_slides",
    "read_extraction_settings",
]
