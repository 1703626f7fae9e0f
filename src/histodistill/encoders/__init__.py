"""Patch encoders: pathology foundation models and others, by name, with their own preprocessing.

An :class:`Encoder` describes one as its authors do; :func:`load_encoder` gives it weights from a
local file, an installed package or the Hugging Face hub; the :class:`PatchEncoder` that comes back
turns patches into features.
"""

import lazy_loader

# Names and where they come from are in __init__.pyi; each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
