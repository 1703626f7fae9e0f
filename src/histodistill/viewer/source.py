"""What answers and what it answered: models, bags and genes of the patients that are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from histodistill.deploy import Bundle
from histodistill.explanation.patients import explain
from histodistill.explanation.raster import PatchPlaces, places_of, places_on
from histodistill.explanation.slide_pictures import named_class
from histodistill.features import BagStore
from histodistill.features.slide import SlideFeatures
from histodistill.preparation import PreparedPatients
from histodistill.slides import Slide, SlideImage
from histodistill.tiling import read_tissue_geojson
from histodistill.viewer.cohort import Cohort
from histodistill.viewer.layers import Floats, Layer, PatientMaps, SlideMaps
from histodistill.viewer.patient_layers import answers_of_networks, expression_of, layers_of
from histodistill.workflows.answering import Answering

_NO_PLACES = "The features do not tell where their patches lie: there is no map."


@dataclass(frozen=True)
class Source:
    """All that is asked about patients.

    Attributes:
        cohort: The patients.
        model: The model that answers for a patient.
        bags: Their bags.
        genomics: Blocks of genes, patients x genes.
        images: The slides by name.
        expressed: Genes whose predicted expression is shown, beside the programmes.
        answers: How the model is asked.
    """

    cohort: Cohort
    model: Callable[[str], Bundle]
    bags: BagStore
    genomics: Mapping[str, pd.DataFrame]
    images: Mapping[str, SlideImage]
    expressed: Sequence[str] = ()
    answers: Answering = field(default_factory=Answering)

    def maps(self, patient: str) -> PatientMaps:
        """Where the model looked in a patient.

        Raises:
            InputError: The model or the features cannot be read.
        """
        if patient not in self.cohort.slides:
            return PatientMaps(patient, ())
        bundle = self.model(patient)
        own = {n: table.loc[table.index.isin([patient])] for n, table in self.genomics.items()}
        found = list(
            explain(
                bundle,
                self.bags,
                own,
                patients=[patient],
                max_missing_genes=self.answers.max_missing_genes,
                thresholds=self.answers.thresholds(bundle),
            )
        )
        expression = expression_of(bundle, self.bags, self.expressed, patient)
        info = bundle.info
        classes = [named_class(info.target, name) for name in info.classes]
        slides = []
        for features in self.bags.slides(patient):
            places, outline = self._places(features)
            layers: tuple[Layer, ...] = ()
            if places is not None:
                evidence = layers_of(found, features, classes)
                layers = (*evidence, *expression.layers(features))
            reason = "" if places is not None else _NO_PLACES
            slides.append(SlideMaps(features.path.stem, places, layers, outline, reason))
        return PatientMaps(patient, tuple(slides), answers_of_networks(found, classes))

    def genes(self, patient: str) -> pd.DataFrame:
        """A patient's genes: ``gene``, ``block``, ``value`` and ``percentile`` in the cohort."""
        parts = [
            pd.DataFrame(
                {
                    "gene": table.columns,
                    "block": name,
                    "value": table.loc[patient].to_numpy(),
                    "percentile": (table.le(table.loc[patient]).mean() * 100).to_numpy(),
                }
            )
            for name, table in self.genomics.items()
            if patient in table.index
        ]
        columns = ["gene", "block", "value", "percentile"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def features(self, patient: str) -> Floats:
        """What the student made of a patient, [d]; of a run, whose folds differ, the mean patch."""
        if not self.cohort.comparable:
            return np.asarray(self.bags.bag(patient).double().mean(dim=0).numpy())
        member = self.model(patient).members[0]
        token_size = member.networks.settings.token_size
        ready = PreparedPatients(
            self.bags, member.transforms.scaled({}), member.transforms, token_size
        )
        batch = ready.batch([patient], device=torch.device("cpu"))
        student = member.networks.student
        assert student is not None
        with torch.no_grad():
            output = student(batch.bags)
        return np.asarray(output.features[0].double().numpy())

    def _places(self, features: SlideFeatures) -> tuple[PatchPlaces | None, tuple[Floats, ...]]:
        image = self.images.get(features.path.stem)
        if image is None:
            return places_of(features, None), ()
        with image.open() as slide:
            return places_on(slide, features), _outline(features.path, slide)


def _outline(features: Path, slide: Slide) -> tuple[Floats, ...]:
    """Rings of the outline that `histodistill extract` wrote beside the features."""
    import shapely

    path = features.parent / "tissue" / f"{features.stem}.geojson"
    if not path.is_file():
        return ()
    tissue = read_tissue_geojson(path, slide)
    rings = [ring for p in tissue.polygons for ring in (p.exterior, *p.interiors)]
    return tuple(np.asarray(shapely.get_coordinates(ring)) for ring in rings)
