"""The first experiment, drafted from the files that a user has.

The files are looked at (:mod:`.clinical`, :mod:`.markers`, :mod:`.columns`, :mod:`.slides`,
:mod:`.genomics`), settings are chosen (:mod:`.choosing`), each with its reason
(:mod:`.setting`), and written as a YAML file that explains itself (:mod:`.writing`). What only a
person can decide is said and never guessed.
"""

import lazy_loader

# Names and where they come from are in __init__.pyi; each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
