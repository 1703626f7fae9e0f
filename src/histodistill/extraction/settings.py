"""Everything that decides what is in a feature file, in one record that travels with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from histodistill import encoders
from histodistill.encoders import Encoder, Precision
from histodistill.encoders.encoder import Triple
from histodistill.errors import InputError
from histodistill.extraction.defaults import Stain
from histodistill.files import sha256
from histodistill.settings import Settings
from histodistill.tiling import TilingSettings, TissueSettings

if TYPE_CHECKING:
    from histodistill.encoders import PatchEncoder


class ExtractionSettings(Settings):
    """What a feature file is made of; equal settings and slides give equal features.

    Attributes:
        encoder: Name of the encoder, see :func:`histodistill.encoders.describe_encoder`.
        weights_sha256: SHA-256 of its weights file.
        input_px: Side of the image that it sees.
        mean: Mean of R, G, B that is subtracted, pixels in 0..1.
        std: Standard deviation of R, G, B that is divided by.
        precision: Arithmetic of the network.
        stain: Stain normalisation.
        tiling: The patch grid.
        tissue: How tissue is found; a tissue file given for a slide goes before it.
    """

    encoder: str
    weights_sha256: str
    input_px: int
    mean: Triple
    std: Triple
    precision: Precision
    stain: Stain = "none"
    tiling: TilingSettings
    tissue: TissueSettings

    @classmethod
    def of(
        cls,
        encoder: PatchEncoder,
        tiling: TilingSettings | None = None,
        tissue: TissueSettings | None = None,
        stain: Stain = "none",
    ) -> Self:
        """The settings of a run with a loaded encoder.

        Args:
            encoder: The encoder.
            tiling: The patch grid; by default the µm/px and patch side that the encoder's authors
                recommend.
            tissue: How tissue is found.
            stain: Stain normalisation.
        """
        return cls.planned(
            encoder.encoder, encoder.weights_hash, encoder.precision, tiling, tissue, stain
        )

    @classmethod
    def planned(
        cls,
        encoder: Encoder,
        weights_sha256: str,
        precision: Precision,
        tiling: TilingSettings | None = None,
        tissue: TissueSettings | None = None,
        stain: Stain = "none",
    ) -> Self:
        """The settings of a run whose encoder other machines will load; arguments as :meth:`of`."""
        return cls(
            encoder=encoder.name,
            weights_sha256=weights_sha256,
            input_px=encoder.input_px,
            mean=encoder.mean,
            std=encoder.std,
            precision=precision,
            stain=stain,
            tiling=tiling or TilingSettings(mpp=encoder.mpp, patch_px=encoder.patch_px),
            tissue=tissue or TissueSettings(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, recorded: Mapping[str, Any]) -> Self:
        """The settings that :meth:`to_dict` recorded.

        Raises:
            InputError: They are not extraction settings of this version.
        """
        try:
            return cls.model_validate(dict(recorded))
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
            raise InputError(
                f"The recorded extraction settings cannot be used ({fields}); they were written "
                "by another version."
            ) from error

    def load_encoder(
        self, weights: Path | None = None, device: str = "cpu", *, allow_code: bool = False
    ) -> PatchEncoder:
        """The encoder that these settings name, with the same weights.

        Args:
            weights: Local weights file; without one the weights come from where they first came.
            device: Where to run.
            allow_code: Whether a TorchScript file, which is a program, may run.

        Raises:
            InputError: As :func:`histodistill.encoders.load_encoder`, or the weights differ.
        """
        described = encoders.describe_encoder(
            self.encoder, input_px=self.input_px, mean=self.mean, std=self.std
        )
        path = encoders.find_weights(described, weights)
        found = sha256(path)
        # Before the file is opened: a TorchScript file of another origin is another program.
        if found != self.weights_sha256:
            raise InputError(
                f"The weights of {self.encoder} are not those that the features were made with "
                f"(SHA-256 {found[:12]}…, not {self.weights_sha256[:12]}…). Give the file that was "
                "used then with --weights."
            )
        return encoders.load_encoder(
            described,
            weights=path,
            device=device,
            precision=self.precision,
            allow_code=allow_code,
        )

    def differences(self, other: ExtractionSettings) -> list[str]:
        """What differs, one phrase each: ``tiling.mpp: 0.5, not 1.0``."""
        own, theirs = _flat(self.to_dict()), _flat(other.to_dict())
        return [
            f"{key}: {_short(own[key])}, not {_short(theirs[key])}"
            for key in own
            if own[key] != theirs[key]
        ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:12]}…"
