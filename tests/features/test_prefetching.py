"""Items made ahead of time."""

from __future__ import annotations

import threading

import pytest
import torch

from histodistill.features import prefetched


def test_items_come_in_order_and_are_made_in_another_thread():
    makers = set()

    def make(i: int) -> int:
        makers.add(threading.get_ident())
        return i * i

    assert list(prefetched(make(i) for i in range(20))) == [i * i for i in range(20)]
    assert threading.get_ident() not in makers
    assert list(prefetched([])) == []


def test_the_next_item_is_made_before_it_is_asked_for_and_no_further():
    made = []
    second = threading.Event()

    def items():
        for i in range(5):
            made.append(i)
            if i == 1:
                second.set()
            yield i

    ahead = prefetched(items())
    assert next(ahead) == 0
    assert second.wait(600)
    assert made == [0, 1]
    ahead.close()  # type: ignore[attr-defined]


def test_random_numbers_are_those_of_the_plain_loop():
    def draws():
        generator = torch.Generator().manual_seed(0)
        return (torch.rand(3, generator=generator) for _ in range(5))

    for ours, theirs in zip(prefetched(draws()), draws(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_error_reaches_the_caller_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("damaged")

    ahead = prefetched(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(ahead)
