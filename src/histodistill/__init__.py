"""Biomarkers from H&E slides, distilled from genomics.

The functions that a script needs, in the order in which it needs them: ``extract``,
``draft_experiment``, ``read_experiment``, ``audit``, ``load``, ``cross_validate``, ``evaluate``,
``compare``, ``train_final``, ``Bundle``, ``predict`` and ``predict_slides``. Research use only; not
a medical device.
"""

import lazy_loader

# Names and where they come from are in __init__.pyi; each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
