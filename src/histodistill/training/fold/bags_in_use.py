"""Bags read as expression programmes, shared by the networks of one training."""

from __future__ import annotations

from weakref import WeakValueDictionary

from histodistill.features import BagStore
from histodistill.preparation.programmes import ExpressionProgrammes, ProgrammeBags


class BagsInUse:
    """Bags as programmes read them, each made once and forgotten when nobody uses it any more."""

    def __init__(self) -> None:
        # An entry keeps its bags and its map alive, so that their ids are their own.
        self._kept: WeakValueDictionary[tuple[int, int], ProgrammeBags] = WeakValueDictionary()

    def of(self, bags: BagStore, programmes: ExpressionProgrammes) -> ProgrammeBags:
        """The bags read by a map."""
        key = id(bags), id(programmes)
        known = self._kept.get(key)
        if known is None:
            known = self._kept[key] = ProgrammeBags(bags, programmes)
        return known
