"""How much longer a run will take, from what it has done so far; and how often to say so."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]

# A line a minute at first; in a run of days one every hundredth of what it has taken.
_LINE_SECONDS, _LINES = 60.0, 100


class Pace:
    """When the next line of a log is due: the longer a run takes, the more seldom.

    Args:
        clock: Seconds of any origin.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._started = self._last = clock()

    def due(self) -> bool:
        """Whether it is time for a line, which is then taken for said."""
        now = self._clock()
        if now - self._last < max(_LINE_SECONDS, (now - self._started) / _LINES):
            return False
        self._last = now
        return True


@dataclass
class _Running:
    """A training at work: epochs that it has told, and the epoch that it has reached."""

    told: int = 0
    reached: int = 0


class TimeLeft:
    """Estimates what is left of many trainings, some of which cost more than others.

    What passes between two signs of life is put down to the method that gives the second, so that
    each method has its own price, however many trainings run at the same time. One that has not
    begun costs as much as the mean of the others.

    Args:
        waiting: Trainings of each method.
        epochs: Epochs of a training of each method at most; none for one that tells none.
        clock: Seconds of any origin.
    """

    def __init__(
        self,
        waiting: Mapping[str, int],
        epochs: Mapping[str, int],
        clock: Clock = time.monotonic,
    ) -> None:
        self._remaining = Counter(waiting)
        self._most = epochs
        self._clock = clock
        self._last = clock()
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._running: defaultdict[str, dict[str, _Running]] = defaultdict(dict)
        self._epochs_of_ended: defaultdict[str, list[int]] = defaultdict(list)

    def on_epoch(self, method: str, training: str, epoch: int) -> None:
        """Take in an epoch, from 0, of a training of that name."""
        self._spend(method)
        running = self._running[method].setdefault(training, _Running())
        running.told += 1
        running.reached = max(running.told, epoch + 1)

    def on_end(self, method: str, training: str) -> None:
        """Take in that a training has ended, well or badly."""
        self._spend(method)
        self._remaining[method] -= 1
        ended = self._running[method].pop(training, _Running())
        self._epochs_of_ended[method].append(ended.reached)

    @property
    def running(self) -> int:
        """Trainings that have told an epoch and not ended."""
        return sum(map(len, self._running.values()))

    def seconds(self) -> float | None:
        """What is left; None while too little is known."""
        prices = {method: self._price(method) for method in self._remaining}
        known = [price for method, price in prices.items() if price and self._most.get(method)]
        other = sum(known) / len(known) if known else None
        left = 0.0
        for method in +self._remaining:
            price = prices[method] or other
            if price is None:
                return None
            left += price * self._work_left(method)
        return left

    def _spend(self, method: str) -> None:
        now = self._clock()
        self._spent[method] += now - self._last
        self._last = now

    def _price(self, method: str) -> float | None:
        """Seconds of a whole training."""
        expected = self._expected(method)
        told = sum(running.told for running in self._running[method].values())
        done = len(self._epochs_of_ended[method]) + (told / expected if expected else 0)
        return self._spent[method] / done if done else None

    def _work_left(self, method: str) -> float:
        """In whole trainings."""
        expected = self._expected(method)
        begun = sum(min(r.reached / expected, 1) for r in self._running[method].values())
        return self._remaining[method] - begun

    def _expected(self, method: str) -> float:
        """Epochs of a training: as those that have ended, else as many as there may be."""
        ended = self._epochs_of_ended[method]
        return max(sum(ended) / len(ended), 1) if ended else self._most.get(method, 0)


def said(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "time left not known yet"
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    if minutes < 90:
        return f"about {minutes} min left"
    hours = round(minutes / 60)
    return f"about {hours} h left" if hours < 72 else f"about {round(hours / 24)} days left"
