"""How much longer a run will take, from what it has done so far; and how often to say so."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]

# A line a minute at first; in a run of days one every hundredth of what it has taken.
_LINE_SECONDS, _LINES = 60.0, 100
# Epochs after first ones that tell what an epoch costs, before any training has ended.
_ENOUGH_EPOCHS = 3


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
    """A training at work.

    Attributes:
        epoch: The last epoch that it has told, from 0, of the model that it is at.
        reached: Epochs that it has behind it, over its models.
        opened: Models of which it has told an epoch.
    """

    epoch: int = -1
    reached: int = 0
    opened: int = 0

    def on_epoch(self, epoch: int) -> int:
        """Take in an epoch; how many it has done since it told one, as only some may be told."""
        passed = epoch - self.epoch if epoch > self.epoch else epoch + 1
        self.opened += not self.opened or epoch <= self.epoch
        self.epoch, self.reached = epoch, self.reached + passed
        return passed


@dataclass
class _Mean:
    """A mean of seconds that grows."""

    seconds: float = 0.0
    count: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        self.seconds += seconds
        self.count += count

    @property
    def value(self) -> float:
        return self.seconds / self.count if self.count else 0.0


class _Method:
    """What the trainings of one method have cost.

    The first epoch of a model comes after its data are prepared, which may take longer than all
    its epochs: it has a price of its own, and says nothing of the next.

    Args:
        most: Epochs of a training at most, over its models; 0 for one that tells none.
        models: Models of a training.
    """

    def __init__(self, most: int, models: int) -> None:
        self.running: dict[str, _Running] = {}
        self._most, self._models = most, models
        self._first, self._next, self._end = _Mean(), _Mean(), _Mean()
        self._epochs_of_ended: list[int] = []

    @property
    def trains(self) -> bool:
        """Whether its trainings tell epochs."""
        return self._most > 0

    def on_epoch(self, training: str, epoch: int, seconds: float) -> None:
        running = self.running.setdefault(training, _Running())
        opened = running.opened
        passed = running.on_epoch(epoch)
        if running.opened > opened:
            self._first.add(seconds)
        else:
            self._next.add(seconds, passed)

    def on_end(self, training: str, seconds: float) -> None:
        self._end.add(seconds)
        self._epochs_of_ended.append(self.running.pop(training, _Running()).reached)

    def price(self) -> float | None:
        """Seconds of a whole training; None before one has ended or told enough epochs."""
        if not self._end.count and self._next.count < _ENOUGH_EPOCHS:
            return None
        return self._left(_Running())

    def begun_left(self) -> float:
        """Seconds that the running trainings have to go."""
        return sum(map(self._left, self.running.values()))

    def _left(self, running: _Running) -> float:
        models = min(self._models, self._expected())
        opening = max(models - running.opened, 0)
        epochs = max(self._expected() - running.reached - opening, 0)
        return opening * self._first.value + epochs * self._next.value + self._end.value

    def _expected(self) -> float:
        """Epochs of a training: as those that have ended, else as many as there may be."""
        ended = self._epochs_of_ended
        return sum(ended) / len(ended) if ended else self._most


class TimeLeft:
    """Estimates what is left of many trainings, some of which cost more than others.

    What passes between two signs of life is put down to the method that gives the second, so that
    each method has its own price, however many trainings run at the same time. One whose price is
    not known yet costs as much as the mean of the others.

    Args:
        waiting: Trainings of each method.
        epochs: Epochs of a model of each method at most; none for one that tells none.
        models: Models of a training of each method; 1 where it is not named.
        clock: Seconds of any origin.
    """

    def __init__(
        self,
        waiting: Mapping[str, int],
        epochs: Mapping[str, int],
        models: Mapping[str, int] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._remaining = Counter(waiting)
        n_models = {name: (models or {}).get(name, 1) for name in {**waiting, **epochs}}
        self._methods = {name: _Method(epochs.get(name, 0) * n, n) for name, n in n_models.items()}
        self._clock = clock
        self._last = clock()

    def on_epoch(self, method: str, training: str, epoch: int) -> None:
        """Take in an epoch, from 0, of a training of that name."""
        self._methods[method].on_epoch(training, epoch, self._passed())

    def on_end(self, method: str, training: str) -> None:
        """Take in that a training has ended, well or badly."""
        self._methods[method].on_end(training, self._passed())
        self._remaining[method] -= 1

    @property
    def running(self) -> int:
        """Trainings that have told an epoch and not ended."""
        return sum(len(method.running) for method in self._methods.values())

    def seconds(self) -> float | None:
        """What is left; None while too little is known."""
        prices = {name: method.price() for name, method in self._methods.items()}
        known = [p for name, p in prices.items() if p and self._methods[name].trains]
        other = sum(known) / len(known) if known else None
        left = 0.0
        for name, remaining in (+self._remaining).items():
            price, method = prices[name], self._methods[name]
            if price is not None:
                left += price * (remaining - len(method.running)) + method.begun_left()
            elif other is not None:
                left += other * remaining
            else:
                return None
        return left

    def _passed(self) -> float:
        """Seconds since the last sign of life."""
        before, self._last = self._last, self._clock()
        return self._last - before


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
