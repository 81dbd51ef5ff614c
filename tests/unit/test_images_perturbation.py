"""Perturbed images and masks: what each does to a sphere, and that the same seed gives the same."""

import numpy as np
import pytest
import SimpleITK as sitk

from pipelines.images.perturbation import DEFAULTS, Perturbation, PerturbationError, noise_sd, perturbed

SPACING = (0.8, 0.8, 2.0)


def case(radius_mm: float = 9.0, noise: float = 5.0) -> tuple[sitk.Image, sitk.Image]:
    """A bright ellipsoid in noise, off the middle of its image."""
    rng = np.random.default_rng(1)
    z, y, x = np.indices((24, 50, 52)) * np.array(SPACING[::-1])[:, None, None, None]
    inside = (x - 18) ** 2 / 1.6 + (y - 22) ** 2 + (z - 24) ** 2 < radius_mm**2
    image = sitk.GetImageFromArray((inside * 60 + rng.normal(scale=noise, size=inside.shape)).astype(np.float32))
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    for one in (image, mask):
        one.SetSpacing(SPACING)
        one.SetOrigin((10.0, -20.0, 5.0))
    return image, mask


def arrays(pair: tuple[sitk.Image, sitk.Image]) -> tuple[np.ndarray, np.ndarray]:
    return sitk.GetArrayFromImage(pair[0]).astype(float), sitk.GetArrayFromImage(pair[1]) > 0


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_same_seed_gives_the_same_and_the_grid_stays(name: str) -> None:
    image, mask = case()
    how = Perturbation.parse(name)
    first, second = perturbed(image, mask, how, "seed"), perturbed(image, mask, how, "seed")
    for a, b, given in zip(first, second, (image, mask), strict=True):
        assert np.array_equal(sitk.GetArrayFromImage(a), sitk.GetArrayFromImage(b))
        assert (a.GetSize(), a.GetSpacing(), a.GetOrigin()) == (given.GetSize(), given.GetSpacing(), given.GetOrigin())
        assert a.GetPixelID() == given.GetPixelID()


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_perturbed_region_is_another_and_much_the_same(name: str) -> None:
    image, mask = case(noise=25.0)
    picture, region = arrays(perturbed(image, mask, Perturbation.parse(name), "seed"))
    assert dice(region, arrays((image, mask))[1]) > 0.8
    assert not (np.array_equal(region, arrays((image, mask))[1]) and np.array_equal(picture, arrays((image, mask))[0]))


def test_the_mask_turns_with_the_image() -> None:
    image, mask = case(noise=0.0)
    picture, region = arrays(perturbed(image, mask, Perturbation.parse("rotate:20"), ""))
    assert dice(picture > 30, region) > 0.99
    assert dice(region, arrays((image, mask))[1]) < 0.97


def test_a_whole_voxel_of_translation_is_exact() -> None:
    image, mask = case()
    picture, region = arrays(perturbed(image, mask, Perturbation.parse("translate:1"), ""))
    before, inside = arrays((image, mask))
    np.testing.assert_allclose(picture[:-1, :-1, :-1], before[1:, 1:, 1:], atol=1e-3)
    assert np.array_equal(region[:-1, :-1, :-1], inside[1:, 1:, 1:])


@pytest.mark.parametrize("share", [0.15, -0.15, 0.5])
def test_a_region_grows_by_what_is_asked(share: float) -> None:
    image, mask = case()
    inside = arrays((image, mask))[1]
    drawn = arrays(perturbed(image, mask, Perturbation.parse(f"volume:{share}"), ""))[1]
    assert drawn.sum() == round(inside.sum() * (1 + share))
    assert (drawn & inside).sum() == min(drawn.sum(), inside.sum())


@pytest.mark.parametrize("sd", [5.0, 20.0])
def test_noise_is_found_and_doubled(sd: float) -> None:
    image, mask = case(noise=sd)
    before = arrays((image, mask))[0]
    assert noise_sd(before) == pytest.approx(sd, rel=0.1)
    assert (arrays(perturbed(image, mask, Perturbation.parse("noise:1"), ""))[0] - before).std() == pytest.approx(
        sd, rel=0.1
    )


def test_contours_are_drawn_anew_each_time_along_the_edge() -> None:
    """Where the edge is lost in noise; a sharp one leaves nothing to redraw."""
    image, mask = case(noise=25.0)
    inside = arrays((image, mask))[1]
    regions = [arrays(perturbed(image, mask, Perturbation.parse(f"contour:{i}"), "seed"))[1] for i in range(1, 4)]
    assert len({region.tobytes() for region in regions}) == 3
    assert all(0.8 < dice(region, inside) < 1 for region in regions)


@pytest.mark.parametrize("name", ["shear:3", "rotate", "volume:-1", "noise:x"])
def test_what_is_no_perturbation_is_named(name: str) -> None:
    with pytest.raises(PerturbationError, match=name):
        Perturbation.parse(name)
