from .feature_file import read_extraction_settings as read_extraction_settings
from .output_folder import OutputFolder as OutputFolder, SlideRecord as SlideRecord
from .run import (
    ExtractionSummary as ExtractionSummary,
    Progress as Progress,
    extract_slides as extract_slides,
)
from .settings import ExtractionSettings as ExtractionSettings
from .slide_list import SlideEntry as SlideEntry, list_slides as list_slides
from .tissue_files import with_tissue_files as with_tissue_files
