"""The stream of batches: order, filling up, bounds and faults."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from histodistill.errors import InputError
from histodistill.extraction.patch_stream import stream_batches
from histodistill.slides import Resolution, Slide
from histodistill.tiling import PatchGrid

from .conftest import TILING


class NumberedSlide(Slide):
    """A slide whose patches say where they lie; counts how many are read."""

    def __init__(self, unreadable=()):
        super().__init__(Path("numbered"), (256, 64), (1.0,), Resolution(1.0, "given"))
        self.reads = 0
        self._unreadable = unreadable
        self._lock = threading.Lock()

    def close(self):
        pass

    def read_level(self, level, x, y, size):
        raise NotImplementedError

    def read_region_rgb(self, x, y, w, h, size):
        with self._lock:
            self.reads += 1
        if x in self._unreadable:
            raise InputError(f"unreadable at {x}")
        return np.full((*size, 3), x, np.uint8)


def grid(count):
    coords = np.column_stack([np.arange(count), np.zeros(count, np.int64)])
    return PatchGrid(coords, 64, 64, np.ones(count), TILING)


def halved(patch):
    return patch[:32, :32]


@pytest.fixture
def readers():
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.mark.parametrize("count", [1, 10, 20, 47])
def test_batches_come_in_order_and_the_last_is_filled_up(readers, count):
    batches = list(stream_batches(NumberedSlide(), grid(count), halved, readers, 10))
    assert {batch.shape for batch, _ in batches} == {(10, 32, 32, 3)}
    numbers = np.concatenate([batch[:real, 0, 0, 0].numpy() for batch, real in batches])
    assert numbers.tolist() == list(range(count))
    last, real = batches[-1]
    assert not last[real:].any()


def test_no_more_than_a_few_batches_are_read_ahead(readers):
    slide = NumberedSlide()
    stream = stream_batches(slide, grid(200), halved, readers, 10)
    next(stream)
    readers.submit(lambda: None).result()
    assert slide.reads <= 31  # three batches, and one patch for its size
    stream.close()


def test_a_patch_that_cannot_be_read_ends_the_stream(readers):
    stream = stream_batches(NumberedSlide(unreadable=[25]), grid(60), halved, readers, 10)
    with pytest.raises(InputError, match="unreadable at 25"):
        list(stream)
