"""The bundle: a trained model as a folder of safetensors and JSON, without any pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from histodistill.deploy.card import model_card
from histodistill.deploy.info import FORMAT, BundleInfo
from histodistill.errors import InputError
from histodistill.files import sha256, whole_folder, write_json, write_text
from histodistill.inference import Member
from histodistill.model import NetworkName, Networks
from histodistill.preparation import Transforms

_DESCRIPTION = "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """A model that predicts one target; several members are averaged.

    Attributes:
        info: What the model is and where it comes from.
        members: Trained models, at least one.
    """

    info: BundleInfo
    members: tuple[Member, ...]

    @property
    def networks(self) -> tuple[NetworkName, ...]:
        """Networks that every member holds."""
        return self.members[0].networks.settings.networks

    def threshold(self, network: NetworkName) -> float | None:
        """Operating threshold of a network, the mean over the members; None without one."""
        chosen = [member.thresholds.get(network) for member in self.members]
        known = [value for value in chosen if value is not None]
        return sum(known) / len(known) if len(known) == len(chosen) else None

    def save(self, folder: Path) -> None:
        """Write the bundle; the folder appears whole or not at all.

        Raises:
            InputError: The folder exists already.
        """
        if folder.exists():
            raise InputError(f"{folder}: exists already; remove it or choose another folder")
        with whole_folder(folder) as draft:
            self._write(draft)

    def _write(self, folder: Path) -> None:
        members = []
        for index, member in enumerate(self.members):
            place = folder / f"member-{index}"
            place.mkdir()
            # Tied or sliced tensors would be refused: each is stored contiguous on its own.
            weights = {k: v.contiguous() for k, v in member.networks.state_dict().items()}
            save_file(weights, place / "networks.safetensors")
            member.transforms.save(place)
            members.append(
                {
                    "architecture": member.networks.architecture(),
                    "thresholds": dict(member.thresholds),
                    "sha256": {file.name: sha256(file) for file in sorted(place.iterdir())},
                }
            )
        description = {"info": self.info.model_dump(mode="json"), "members": members}
        write_json(folder / _DESCRIPTION, description)
        write_text(folder / "MODEL_CARD.md", model_card(self.info, members))

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read a bundle and check that it is whole.

        Raises:
            InputError: Not a bundle, written by a newer version, or damaged.
        """
        try:
            description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
            _check_format(folder, description["info"]["format"])
            info = BundleInfo.model_validate(description["info"])
            described = {
                folder / f"member-{index}": member
                for index, member in enumerate(description["members"])
            }
            if not described:
                raise ValueError("it has no member")
            problems = [p for place, member in described.items() for p in _damages(place, member)]
            if problems:
                raise InputError(*problems)
            members = tuple(_read_member(place, member) for place, member in described.items())
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{folder}: not a model bundle: it has no {_DESCRIPTION}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder / _DESCRIPTION}: damaged: {type(error).__name__} {error}; copy it again"
            ) from error
        return cls(info, members)


def _check_format(folder: Path, version: object) -> None:
    if version != FORMAT:
        raise InputError(
            f"{folder}: bundle format {version}, and this version of histodistill reads "
            f"format {FORMAT}; install the version that wrote it"
        )


def _damages(place: Path, described: Mapping[str, Any]) -> Iterator[str]:
    """Files of a member that are missing or not what was written."""
    for name, digest in described["sha256"].items():
        if not (place / name).is_file():
            yield f"{place / name}: missing; the bundle is not whole, copy it again"
        elif sha256(place / name) != digest:
            yield f"{place / name}: damaged: its content changed; copy it again"


def _read_member(place: Path, described: Mapping[str, Any]) -> Member:
    networks = Networks.from_architecture(described["architecture"])
    networks.load_state_dict(load_file(place / "networks.safetensors"))
    return Member(networks.eval(), Transforms.load(place), described["thresholds"])
