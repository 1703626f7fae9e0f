"""The bundle: a trained model as a folder of safetensors and JSON, without any pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file

from histodistill.deploy.absent_parts import absent_parts
from histodistill.deploy.calibration import BundleCalibration, read_calibration
from histodistill.deploy.card import model_card
from histodistill.deploy.checksums import damages, read_checksums, write_checksums
from histodistill.deploy.description import Architecture, BundleDescription, MemberDescription
from histodistill.deploy.info import FORMAT, BundleInfo
from histodistill.deploy.scope import read_scope, save_scope
from histodistill.deploy.site import SiteCalibration, has_sites, read_sites
from histodistill.errors import InputError, cause_of, listed
from histodistill.files import whole_folder, write_json, write_text
from histodistill.gate.records import damaged_record, first_problem
from histodistill.gate.tensors import read_safetensors
from histodistill.gate.text import read_json
from histodistill.inference import Member
from histodistill.inference.scope import Scope
from histodistill.model import NetworkName, Networks
from histodistill.model.unwritten import unwritten
from histodistill.preparation import Transforms

_DESCRIPTION = "bundle.json"
_WEIGHTS = "networks.safetensors"
_REMEDY = "copy the bundle again"
_OLD = (
    "this bundle was written by an earlier version, which hashed the members' files alone: a "
    "change of bundle.json itself cannot be noticed"
)
_UNCALIBRATED = (
    "this bundle was written by an earlier version, or imported: it holds no calibrator, so its "
    "answers are not calibrated, and no triage can be certified"
)
_NO_SCOPE = (
    "this bundle does not know what slides of its training look like, so another organ, glass or "
    "a marker is not noticed; `train` writes bundles that do"
)


@dataclass(frozen=True)
class Bundle:
    """A model that predicts one target; several members are averaged.

    Attributes:
        info: What the model is and where it comes from.
        members: Trained models, at least one.
        notes: What the reader must know about it, in sentences.
        calibration: Its calibrators, and the held-out answers that triage is certified by; None
            where an earlier version wrote it.
        scope: What slides of training look like; None where that is not known.
        sites: Hospitals that it was calibrated for since, by name.
    """

    info: BundleInfo
    members: tuple[Member, ...]
    notes: tuple[str, ...] = ()
    calibration: BundleCalibration | None = None
    scope: Scope | None = None
    sites: Mapping[str, SiteCalibration] = field(default_factory=dict)

    @property
    def networks(self) -> tuple[NetworkName, ...]:
        """Networks that every member holds."""
        return self.members[0].networks.settings.networks

    @cached_property
    def fingerprint(self) -> str:
        """Twelve digits that tell this model from others, the same wherever it is copied."""
        digest = hashlib.sha256(self.info.model_dump_json().encode())
        for member in self.members:
            for name, weights in sorted(member.networks.state_dict().items()):
                digest.update(name.encode())
                digest.update(
                    weights.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy()
                )
        return digest.hexdigest()[:12]

    def calibration_at(self, site: str | None) -> BundleCalibration | None:
        """The calibration, with the answers that certify triage at a site where it is known."""
        if site is None or site not in self.sites or self.calibration is None:
            return self.calibration
        return self.calibration.model_copy(update={"held_out": self.sites[site].held_out})

    def threshold(self, network: NetworkName, site: str | None = None) -> float | None:
        """Operating threshold of a network, the mean over the members; None without one.

        Args:
            network: A network.
            site: A hospital; where the bundle was calibrated for it, its own threshold.
        """
        here = self.sites.get(site) if site is not None else None
        own = here.networks.get(network) if here is not None else None
        if own is not None and own.threshold is not None:
            return own.threshold
        chosen = [member.thresholds.get(network) for member in self.members]
        known = [value for value in chosen if value is not None]
        return sum(known) / len(known) if len(known) == len(chosen) else None

    def save(self, folder: Path, written: date | None = None) -> None:
        """Write the bundle; the folder appears whole or not at all.

        Args:
            folder: Where; must not exist yet.
            written: The day that the model card shows.

        Raises:
            InputError: The folder exists already.
        """
        if folder.exists():
            raise InputError(f"{folder}: exists already; remove it or choose another folder")
        with whole_folder(folder) as draft:
            self._write(draft, written)

    def _write(self, folder: Path, written: date | None) -> None:
        members = []
        for index, member in enumerate(self.members):
            place = folder / f"member-{index}"
            place.mkdir()
            # Tied or sliced tensors would be refused: each is stored contiguous on its own.
            weights = {k: v.contiguous() for k, v in member.networks.state_dict().items()}
            save_file(weights, place / _WEIGHTS)
            member.transforms.save(place)
            members.append(
                {
                    "architecture": member.networks.architecture(),
                    "thresholds": dict(member.thresholds),
                }
            )
        description = {"info": self.info.model_dump(mode="json"), "members": members}
        write_json(folder / _DESCRIPTION, description)
        if self.calibration is not None:
            self.calibration.save(folder)
        if self.scope is not None:
            save_scope(self.scope, folder)
        prototypes = [member.transforms.n_prototypes for member in self.members]
        detectors = [member.transforms.n_detectors for member in self.members]
        card = model_card(self.info, members, written, self.calibration, prototypes, detectors)
        write_text(folder / "MODEL_CARD.md", card)
        write_checksums(folder)

    @classmethod
    def load(cls, folder: Path, allow: Collection[str] = ()) -> Bundle:
        """Read a bundle and check that it is whole.

        Args:
            folder: The bundle's.
            allow: Import paths of networks of other packages that may be run, where the bundle
                is made of such: ``my_package.heads:TopK``. A bundle never decides so itself.

        Raises:
            InputError: Not a bundle, written by a newer version, damaged, or made of a network
                that is not allowed or not installed.
        """
        raw = _raw_description(folder)
        version = _format_of(folder, raw)
        problems = list(damages(folder, _recorded(folder, raw, version)))
        if problems:
            raise InputError(*problems)
        described = _described(folder, raw, version)
        places = [folder / f"member-{index}" for index in range(len(described.members))]
        members = tuple(
            _read_member(place, member, allow)
            for place, member in zip(places, described.members, strict=True)
        )
        calibration = read_calibration(folder, len(described.info.classes), _REMEDY)
        width = described.info.features.width if described.info.features else None
        scope = read_scope(folder, width, _REMEDY)
        notes = tuple(
            note
            for note, holds in (
                (_OLD, version == 1),
                (_UNCALIBRATED, calibration is None),
                (_NO_SCOPE, scope is None and width is not None),
            )
            if holds
        )
        bundle = cls(described.info, members, notes, calibration, scope)
        if not has_sites(folder):
            return bundle
        return replace(bundle, sites=read_sites(folder, bundle.fingerprint))


def _raw_description(folder: Path) -> Any:
    """What ``bundle.json`` holds, unchecked."""
    path = folder / _DESCRIPTION
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: not a model bundle: it has no {_DESCRIPTION}") from None
    except ValueError as error:
        raise damaged_record(path, error, _REMEDY) from error


def _format_of(folder: Path, raw: Any) -> int:
    """The format that a bundle is of.

    Raises:
        InputError: It does not say, or is of a newer one.
    """
    info = raw.get("info") if isinstance(raw, dict) else None
    version = info.get("format") if isinstance(info, dict) else None
    if version is None:
        raise damaged_record(folder / _DESCRIPTION, "it does not say its format", _REMEDY)
    if version not in range(1, FORMAT + 1) or isinstance(version, bool):
        raise InputError(
            f"{folder}: bundle format {version}, and this version of histodistill reads formats "
            f"up to {FORMAT}; install the version that wrote it"
        )
    return int(version)


def _recorded(folder: Path, raw: Any, version: int) -> dict[str, str]:
    """The hash of every file that has one."""
    if version > 1:
        return read_checksums(folder)
    try:  # the first format hashed the members' files in bundle.json
        hashes = TypeAdapter(dict[str, str])
        return {
            f"member-{index}/{name}": digest
            for index, member in enumerate(raw["members"])
            for name, digest in hashes.validate_python(member["sha256"]).items()
        }
    except (ValueError, KeyError, TypeError) as error:
        reason = f"no hashes of its files: {type(error).__name__}"
        raise damaged_record(folder / _DESCRIPTION, reason, _REMEDY) from error


def _described(folder: Path, raw: Any, version: int) -> BundleDescription:
    """The description, every value of it within its bounds."""
    if version == 1:
        raw = raw | {"members": [_without_hashes(member) for member in raw["members"]]}
    absent = list(absent_parts(raw))
    if absent:
        raise InputError(*(f"{folder}: {problem}" for problem in dict.fromkeys(absent)))
    try:
        return BundleDescription.model_validate(raw)
    except ValidationError as error:
        raise damaged_record(folder / _DESCRIPTION, first_problem(error), _REMEDY) from error


def _without_hashes(member: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in member.items() if key != "sha256"}


def _read_member(place: Path, described: MemberDescription, allow: Collection[str]) -> Member:
    try:
        networks = _read_networks(place / _WEIGHTS, described.architecture, allow)
        transforms = Transforms.load(place)
        _require_genes(networks, transforms)
    except InputError:
        raise
    except OSError as error:
        raise damaged_record(place, error, _REMEDY) from error
    except Exception as error:  # whatever the code does that reads and builds it
        raise _unreadable(place, described, error) from error
    return Member(networks, transforms, dict(described.thresholds))


def _unreadable(place: Path, described: MemberDescription, error: Exception) -> InputError:
    """Files that have their hashes are no damage: code that fails on them is told, and whose."""
    foreign = described.architecture.settings.foreign
    of = f" (with {listed([f'`{name}`' for name in foreign.values()])})" if foreign else ""
    return InputError(
        f"{place}: its files are those that were written, but the code that reads them and builds "
        f"its networks{of} fails: {cause_of(error)}; {_REMEDY}, or install the versions of "
        "histodistill and of the other packages that wrote it"
    )


def _require_genes(networks: Networks, transforms: Transforms) -> None:
    """Raise a ValueError where the networks read genes that the transforms do not prepare.

    An imported bundle without genes has no transforms, though its networks could read some.
    """
    if not transforms.blocks:
        return
    for name, tokens in networks.blocks.items():
        if name not in transforms.blocks:
            raise ValueError(f"no genes of the block {name}")
        if tokens > len(transforms.blocks[name].genes_):
            raise ValueError(f"{tokens} tokens of {len(transforms.blocks[name].genes_)} genes")


def _read_networks(path: Path, architecture: Architecture, allow: Collection[str]) -> Networks:
    """The networks with their weights.

    They are first built without memory, so that an architecture that its weights do not have is
    refused whatever size it claims.
    """
    weights = read_safetensors(path)
    plain = architecture.model_dump(mode="json")
    with unwritten():
        empty = Networks.from_architecture(plain, allow)
        expected = {name: value.shape for name, value in empty.state_dict().items()}
    odd = sorted(
        name
        for name in expected.keys() | weights.keys()
        if name not in expected or name not in weights or weights[name].shape != expected[name]
    )
    if odd:
        raise InputError(
            f"{path}: its weights are not those of the networks that {_DESCRIPTION} describes: "
            f"{listed(odd, 3)}; {_REMEDY}"
        )
    unusable = sorted(name for name, values in weights.items() if not values.isfinite().all())
    if unusable:
        raise InputError(f"{path}: NaN or infinite weights in {listed(unusable, 3)}; {_REMEDY}")
    networks = Networks.from_architecture(plain, allow)
    networks.load_state_dict(weights)
    return networks.eval()
