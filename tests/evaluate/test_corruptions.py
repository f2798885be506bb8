import io

import numpy as np
import pytest
from PIL import Image

from edgezsl.errors import InputError
from edgezsl.evaluate.corruptions import CORRUPTIONS, SEVERITIES, corrupted

SIDE = 224


@pytest.fixture(scope="module")
def frame():
    """Shapes of all sizes with edges, and colours."""
    random = np.random.RandomState(0)
    picture = np.zeros((SIDE, SIDE, 3))
    for step in (2, 8, 32, 56):
        coarse = random.rand(SIDE // step, SIDE // step, 3)
        picture += np.kron(coarse, np.ones((step, step, 1)))
    return (255 * picture / picture.max()).astype(np.uint8)


def distance(first, other):
    return float(np.square(first.astype(float) - other).mean())


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_is_a_frame_of_the_same_size_and_the_same_each_time(frame, kind):
    kept = frame.copy()
    first, again = (corrupted(frame, kind, severity=3, seed=1) for _ in range(2))
    assert (first.shape, first.dtype) == (frame.shape, np.uint8)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(frame, kept)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_severity_takes_more_than_the_one_before(frame, kind):
    distances = [distance(frame, corrupted(frame, kind, severity=one, seed=0)) for one in SEVERITIES]
    assert distances[0] > 0
    assert distances == sorted(distances)
    assert len(set(distances)) == len(SEVERITIES)


def test_noise_depends_on_its_seed_and_nothing_else_does(frame):
    changes = {
        kind: distance(*(corrupted(frame, kind, severity=2, seed=seed) for seed in (0, 1))) > 0 for kind in CORRUPTIONS
    }
    assert changes == {"noise": True, "blur": False, "jpeg": False}


@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.08), (2, 0.12), (3, 0.18)])
def test_noise_has_the_deviation_of_the_table(severity, deviation):
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    noisy = corrupted(grey, "noise", severity=severity, seed=0).astype(float) / 255
    assert noisy.std() == pytest.approx(deviation, rel=0.02), "so far that few values leave the range"
    assert noisy.mean() == pytest.approx(128 / 255, abs=0.005)
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(("severity", "radius"), [(1, 3), (2, 4), (3, 6), (4, 8), (5, 10)])
def test_blur_spreads_a_point_over_a_disc(severity, radius):
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    white = np.full((41, 41, 3), 255, np.uint8)
    lines = np.arange(41) - 20
    away = np.hypot(lines, lines[:, None])
    blurred = corrupted(point, "blur", severity=severity, seed=0)[..., 0].astype(float)
    assert (blurred[away > radius + 2] == 0).all()
    inside = blurred[away < radius - 2]
    assert inside.max() - inside.min() <= 1, "flat"
    assert inside.mean() == pytest.approx(255 / (np.pi * radius**2), rel=0.3, abs=1)
    np.testing.assert_array_equal(blurred, blurred.T)
    np.testing.assert_array_equal(corrupted(white, "blur", severity=severity, seed=0), white)


@pytest.mark.parametrize(("severity", "quality"), [(1, 25), (2, 18), (3, 15), (4, 10), (5, 7)])
def test_jpeg_has_the_quality_of_the_table_as_pillow_understands_it(frame, severity, quality):
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality)
    with Image.open(file) as opened:
        expected = np.asarray(opened)
    found = corrupted(frame, "jpeg", severity=severity, seed=0)
    assert distance(found, expected) < 0.05 * distance(frame, expected)


@pytest.mark.parametrize(("kind", "severity"), [("rain", 1), ("noise", 0), ("noise", 6)])
def test_a_corruption_that_does_not_exist_is_refused(frame, kind, severity):
    with pytest.raises(InputError, match="severity 1 to 5"):
        corrupted(frame, kind, severity=severity, seed=0)
