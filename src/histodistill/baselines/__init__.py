"""Simple models that stand beside the networks in every result.

Logistic regression on all features of a modality, elastic net and boosted trees on genes, and
single genes: what a deep model must beat, and how much of the label can be read from one gene.
"""

import lazy_loader

# Names and where they come from are in __init__.pyi; each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
