"""What one run of the viewer holds: patients, tiles, maps, verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from histodistill.viewer.addresses import patient_address
from histodistill.viewer.cohort import Cohort
from histodistill.viewer.feature_map import feature_map
from histodistill.viewer.layers import Floats, PatientMaps, SlideMaps
from histodistill.viewer.reviews import Review, Reviews, Verdict
from histodistill.viewer.slide_tiles import SlideTiles
from histodistill.viewer.tile_cache import TileCache
from histodistill.viewer.worker import Worker
from histodistill.viewer.world import World


@dataclass
class Session:
    """The viewer of one reviewer.

    Attributes:
        cohort: The patients.
        worker: Computes maps.
        tiles: Reads slides.
        reviews: The verdicts.
        reviewer: Who gives them.
        key: A part of all addresses of tiles: browsers keep tiles, and another session may show
            other models.
        order: Numbers of the patients in the order in which they are gone through.
        heat: Recent tiles of layers.
    """

    cohort: Cohort
    worker: Worker
    tiles: SlideTiles
    reviews: Reviews
    reviewer: str
    key: str
    order: list[int] = field(default_factory=list)
    heat: TileCache = field(default_factory=TileCache)
    _features: dict[str, Floats] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = self.order or list(range(len(self.cohort.patients)))
        self._numbers = {name: number for number, name in enumerate(self.cohort.patients)}

    def patient(self, number: int) -> str | None:
        """The patient of a number; None where there is none."""
        patients = self.cohort.patients
        return patients[number] if 0 <= number < len(patients) else None

    def number(self, patient: str) -> int | None:
        """The number of a patient; None where there is no such one."""
        return self._numbers.get(patient)

    def neighbour(self, number: int, step: int) -> int:
        """The patient after (1) or before (-1) another one, in the order of the table."""
        if number not in self.order:
            return number
        return self.order[(self.order.index(number) + step) % len(self.order)]

    async def maps(self, number: int) -> PatientMaps:
        """Where the model looked.

        Raises:
            InputError: The model or the features cannot be read.
        """
        return await self.worker.maps(self.cohort.patients[number])

    def expect(self, number: int) -> None:
        """Let the next patient's maps be computed while this one's are looked at."""
        following = self.cohort.patients[self.neighbour(number, 1)]
        if following in self.cohort.slides:
            self.worker.expect(following)

    def address(self, number: int) -> str:
        """The page of the patient of a number."""
        return patient_address(self.cohort.patients[number])

    def world(self, maps: SlideMaps) -> tuple[World, float | None]:
        """Where a slide lies on the map, and its µm/px where it is at hand.

        Raises:
            InputError: The slide cannot be read.
        """
        if maps.slide in self.tiles:
            return self.tiles.world(maps.slide)
        extent = (1.0, 1.0) if maps.places is None else maps.places.extent()
        return World(*extent), None

    def latest_reviews(self) -> dict[str, Review]:
        """The reviewer's own last verdicts, by patient.

        Raises:
            InputError: The file of verdicts cannot be read any more.
        """
        return self.reviews.latest(self.cohort.target, self.cohort.model, self.reviewer)

    def save_review(self, number: int, verdict: Verdict, remark: str) -> None:
        """Put a verdict on disk.

        Raises:
            InputError: The file of verdicts cannot be read any more.
            OSError: It cannot be written.
        """
        row = self.cohort.table.iloc[number]
        one_line = " ".join(remark.split())
        self.reviews.save(
            Review(
                row["PATIENT"],
                self.cohort.target,
                self.cohort.model,
                row["call"],
                verdict,
                one_line,
                self.reviewer,
            )
        )

    @property
    def mapped(self) -> list[str]:
        """Patients who have slides, in order: those of the feature map."""
        return [p for p in self.cohort.patients if p in self.cohort.slides]

    async def add_features(self, patient: str) -> None:
        """Read what the model made of one patient, once; maps are asked for in between.

        Raises:
            InputError: The features cannot be read.
        """
        if patient not in self._features:
            self._features[patient] = await self.worker.features(patient)

    def feature_places(self) -> tuple[Floats, tuple[float, float]]:
        """Places of the ``mapped`` patients, all of whom have been added, [n, 2]; shares."""
        return feature_map(np.stack([self._features[p] for p in self.mapped]))
