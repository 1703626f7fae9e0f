"""The three networks of MKD and the objective that trains them together."""

import lazy_loader

# Names and where they come from are in __init__.pyi; each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
