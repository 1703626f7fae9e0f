"""µm/px, from every place where slide formats keep it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

# What microscopes record: 100x with oversampling at one end, a 1x overview at the other.
# Resolutions that editors write by default (72, 96, 300 dpi: 353, 265, 85 µm/px) lie far outside.
PLAUSIBLE_MPP = (0.05, 10.0)
# A user may give the µm/px of a strongly reduced image.
PLAUSIBLE_GIVEN_MPP = (0.01, 100.0)
SQUARE_TOLERANCE = 0.01
# Scanners' pixels differ by less; what differs by more is a wrong record.
LARGEST_STRETCH = 1.2
# By convention a 20x objective gives 0.5 µm/px, a 40x one 0.25. Cameras and adapters vary that.
MPP_AT_1X = 10.0
_OBJECTIVE_TIMES = 1.6
# These record the objective alone, behind which an adapter enlarges.
_VENDORS_WITH_ADAPTERS = ("mirax",)
# Two exact records of one slide agree but for rounding.
_CONTRADICTION_TIMES = 1.2

_GIVE_IT = "give it with --slide-mpp or an mpp column"
_MICRONS_IN_UNIT = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
_MICRONS_IN_TIFF_UNIT = {"inch": 25_400.0, "centimeter": 10_000.0}
_IMAGEJ_MICRONS = re.compile(
    # ImageJ escapes µ; others write it in an encoding that a reader may not know.
    r"^unit=(microns?|micrometers?|um|(µ|μ|\\u00B5|Âµ|\ufffd)m)\s*$",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Resolution:
    """µm/px of a slide's level 0 and where it was found.

    Attributes:
        mpp: µm/px; the mean of both axes.
        source: The place it was found in, for people to read.
        doubt: What else the slide records speaks against it, a phrase; empty where nothing does.
    """

    mpp: float
    source: str
    doubt: str = ""


def given_resolution(mpp: float) -> Resolution:
    """A µm/px given by the user.

    Raises:
        ValueError: If no image of tissue can have it.
    """
    low, high = PLAUSIBLE_GIVEN_MPP
    if not low <= mpp <= high:
        raise ValueError(f"µm/px was given as {mpp:g}, but must lie between {low:g} and {high:g}")
    return Resolution(mpp, "given by the user")


def find_resolution(properties: Mapping[str, str]) -> Resolution:
    """The first plausible µm/px recorded, exact places before approximate ones.

    Args:
        properties: A slide's properties under OpenSlide's names: ``openslide.mpp-x``,
            ``aperio.MPP``, ``tiff.XResolution``, ``tiff.ImageDescription`` and so on.

    Returns:
        µm/px and its source. Pixels that are not square (more than 1 % apart) are said there.

    Raises:
        ValueError: If there is none; the message names the values that no microscope has, pixels
            much longer than wide among them. Or if two places contradict each other.
    """
    plausible, implausible = [], []
    low, high = PLAUSIBLE_MPP
    for source, x, y in _recorded(properties):
        stretched = max(x, y) > LARGEST_STRETCH * min(x, y)
        if not stretched and all(low <= value <= high for value in (x, y)):
            plausible.append(Resolution((x + y) / 2, source + _not_square(x, y)))
        else:
            implausible.append(f"{source} says {x:.6g}{f' x {y:.6g}' if stretched else ''}")
    power = _power(properties)
    if plausible:
        _require_agreement(plausible)
        return replace(plausible[0], doubt=_doubt(plausible[0].mpp, power, properties))
    if power:
        return Resolution(MPP_AT_1X / power, f"objective power {power:g}x: approximate")
    found = f" ({'; '.join(implausible)}, which no microscope has)" if implausible else ""
    raise ValueError(f"no µm/px recorded{found}; {_GIVE_IT}")


def _require_agreement(found: Sequence[Resolution]) -> None:
    """Refuse records of which one must be wrong.

    Raises:
        ValueError: They contradict each other.
    """
    smallest = min(found, key=lambda each: each.mpp)
    largest = max(found, key=lambda each: each.mpp)
    if largest.mpp > _CONTRADICTION_TIMES * smallest.mpp:
        told = " and ".join(f"{each.mpp:.4g} ({each.source})" for each in (smallest, largest))
        raise ValueError(f"it records two µm/px, {told}, of which one is wrong; {_GIVE_IT}")


def _doubt(mpp: float, power: float | None, properties: Mapping[str, str]) -> str:
    """What the objective says against a µm/px."""
    if not power or properties.get("openslide.vendor") in _VENDORS_WITH_ADAPTERS:
        return ""
    usual = MPP_AT_1X / power
    if 1 / _OBJECTIVE_TIMES < mpp / usual < _OBJECTIVE_TIMES:
        return ""
    return (
        f"it records {mpp:.4g} µm/px and an objective of {power:g}x, which means about "
        f"{usual:.4g}; if the µm/px is wrong, give the right one in a CSV with a column 'mpp'"
    )


def _power(properties: Mapping[str, str]) -> float | None:
    """The power of the objective, where one is recorded that gives a plausible µm/px."""
    power = _number(properties.get("openslide.objective-power", properties.get("aperio.AppMag")))
    low, high = PLAUSIBLE_MPP
    return power if power and low <= MPP_AT_1X / power <= high else None


def _recorded(properties: Mapping[str, str]) -> Iterator[tuple[str, float, float]]:
    """Yield source, x and y µm/px where they are recorded exactly, the most trustworthy first."""
    description = properties.get("tiff.ImageDescription", "")
    x, y = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    if x is not None:
        yield "openslide.mpp-x", x, x if y is None else y
    yield from _ome_xml(description)
    aperio = _number(properties.get("aperio.MPP"))
    if aperio is not None:
        yield "aperio vendor property", aperio, aperio
    yield from _tiff_resolution(properties, description)


def _ome_xml(description: str) -> Iterator[tuple[str, float, float]]:
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", description)
    if pixels is None:
        return
    attributes = dict(re.findall(r'(\w+)="([^"]*)"', pixels.group()))
    x, y = (_ome_microns(attributes, axis) for axis in "XY")
    if x is not None:
        yield "OME-XML", x, x if y is None else y


def _ome_microns(attributes: Mapping[str, str], axis: str) -> float | None:
    size = _number(attributes.get(f"PhysicalSize{axis}"))
    # XML may carry µ (U+00B5), its twin μ (U+03BC) or a character reference.
    unit = attributes.get(f"PhysicalSize{axis}Unit", "µm").replace("\u03bc", "\u00b5")
    unit = re.sub("Âµ|\ufffd", "\u00b5", unit)
    unit = re.sub(r"&#(181|xB5|956|x3BC);", "\u00b5", unit, flags=re.IGNORECASE)
    scale = _MICRONS_IN_UNIT.get(unit)
    return None if size is None or scale is None else size * scale


def _tiff_resolution(
    properties: Mapping[str, str], description: str
) -> Iterator[tuple[str, float, float]]:
    x = _number(properties.get("tiff.XResolution"))
    y = _number(properties.get("tiff.YResolution", properties.get("tiff.XResolution")))
    if not x or not y:
        return
    unit = _MICRONS_IN_TIFF_UNIT.get(properties.get("tiff.ResolutionUnit", ""))
    if _IMAGEJ_MICRONS.search(description):
        yield "TIFF resolution in ImageJ's µm", 1 / x, 1 / y
    elif unit is not None:
        yield "TIFF resolution", unit / x, unit / y


def _not_square(x: float, y: float) -> str:
    if abs(x - y) <= SQUARE_TOLERANCE * min(x, y):
        return ""
    return f" (pixels are not square: {x:.4g} x {y:.4g} µm; their mean is used)"


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
