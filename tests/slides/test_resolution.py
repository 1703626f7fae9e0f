from __future__ import annotations

import pytest

from histodistill.slides import find_resolution

OME = '<?xml version="1.0"?><OME><Image><Pixels ID="P0" {}/></Image></OME>'


def tiff(x: float, y: float | None = None, unit: str = "centimeter") -> dict[str, str]:
    return {
        "tiff.XResolution": str(x),
        "tiff.YResolution": str(y or x),
        "tiff.ResolutionUnit": unit,
    }


@pytest.mark.parametrize(
    ("properties", "mpp", "source"),
    [
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}, 0.25, "openslide.mpp-x"),
        ({"openslide.mpp-x": "0.4990"}, 0.499, "openslide.mpp-x"),
        ({"aperio.MPP": "0,2527"}, 0.2527, "aperio vendor property"),
        (tiff(20_000), 0.5, "TIFF resolution"),
        (tiff(50_800, unit="inch"), 0.5, "TIFF resolution"),
        (
            {**tiff(4, unit="none"), "tiff.ImageDescription": "ImageJ=1.53\nunit=micron\n"},
            0.25,
            "TIFF resolution in ImageJ's µm",
        ),
        (
            {"tiff.ImageDescription": OME.format('PhysicalSizeX="0.46" PhysicalSizeY="0.46"')},
            0.46,
            "OME-XML",
        ),
        (
            {
                "tiff.ImageDescription": OME.format(
                    'PhysicalSizeX="230" PhysicalSizeXUnit="nm" '
                    'PhysicalSizeY="0.00023" PhysicalSizeYUnit="mm"'
                )
            },
            0.23,
            "OME-XML",
        ),
        (
            {
                "tiff.ImageDescription": OME.format(
                    'PhysicalSizeX="0.5" PhysicalSizeXUnit="&#181;m"'
                )
            },
            0.5,
            "OME-XML",
        ),
        ({"openslide.objective-power": "20"}, 0.5, "objective power 20x: approximate"),
        ({"aperio.AppMag": "40"}, 0.25, "objective power 40x: approximate"),
    ],
)
def test_each_place(properties: dict[str, str], mpp: float, source: str) -> None:
    found = find_resolution(properties)
    assert found.mpp == pytest.approx(mpp)
    assert found.source == source


def test_exact_places_come_before_the_objective() -> None:
    found = find_resolution({"openslide.objective-power": "40", **tiff(20_000)})
    assert (found.mpp, found.source) == (0.5, "TIFF resolution")


@pytest.mark.parametrize("value", ["0", "-0.5", "0.00001", "1000", "nan", "inf", "none", ""])
def test_absurd_values_are_passed_over(value: str) -> None:
    found = find_resolution({"openslide.mpp-x": value, "openslide.objective-power": "20"})
    assert found.source == "objective power 20x: approximate"


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 600])
def test_resolutions_for_printing_are_no_microns(dpi: int) -> None:
    with pytest.raises(
        ValueError, match=r"no µm/px recorded \(TIFF resolution says .* which no mi"
    ):
        find_resolution(tiff(dpi, unit="inch"))
    with pytest.raises(ValueError, match="TIFF resolution says"):
        find_resolution(tiff(dpi / 2.54))


def test_resolution_without_a_unit_is_none() -> None:
    message = "no µm/px recorded; give it with --slide-mpp or an mpp column"
    with pytest.raises(ValueError, match=message):
        find_resolution(tiff(20_000, unit="none"))


def test_pixels_that_are_not_square_are_said() -> None:
    found = find_resolution({"openslide.mpp-x": "0.50", "openslide.mpp-y": "0.52"})
    assert found.mpp == pytest.approx(0.51)
    assert found.source == (
        "openslide.mpp-x (pixels are not square: 0.5 x 0.52 µm; their mean is used)"
    )
    with pytest.raises(
        ValueError, match=r"openslide\.mpp-x says 0\.5 x 0\.25, which no microscope"
    ):
        find_resolution({"openslide.mpp-x": "0.50", "openslide.mpp-y": "0.25"})
    nearly = find_resolution({"openslide.mpp-x": "0.500", "openslide.mpp-y": "0.504"})
    assert nearly.source == "openslide.mpp-x"


@pytest.mark.parametrize(
    ("mpp", "power", "doubted"),
    [(0.5, 40, True), (1.0, 40, True), (0.25, 20, True), (0.26, 40, False), (0.3448, 20, False)],
)
def test_an_objective_that_contradicts_the_resolution_is_told(
    mpp: float, power: int, doubted: bool
) -> None:
    properties = {"openslide.mpp-x": str(mpp), "openslide.objective-power": str(power)}
    found = find_resolution(properties)
    assert found.mpp == mpp
    assert (f"records {mpp:g} µm/px and an objective of {power}x" in found.doubt) == doubted
    assert not find_resolution({**properties, "openslide.vendor": "mirax"}).doubt


def test_two_exact_records_that_contradict_each_other_are_refused() -> None:
    ome = {"tiff.ImageDescription": OME.format('PhysicalSizeX="0.25" PhysicalSizeY="0.25"')}
    with pytest.raises(
        ValueError, match=r"two µm/px, 0\.25 \(OME-XML\) and 0\.5 \(TIFF res.*--slide"
    ):
        find_resolution({**ome, **tiff(20_000)})
    assert find_resolution({**ome, **tiff(72, unit="inch")}).mpp == 0.25
    assert find_resolution({**ome, **tiff(39_000)}).mpp == 0.25
