import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from edgezsl.errors import ContractError
from edgezsl.preprocess import Preprocessor, pillow_resize
from tests.factories import small_contract

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SIZES = [  # (height, width) of a frame, of the result
    ((720, 1280), (224, 224)),
    ((97, 61), (32, 32)),
    ((33, 47), (64, 80)),
    ((100, 30), (50, 60)),
    ((224, 224), (224, 224)),
    ((224, 300), (224, 224)),
    ((1, 1), (5, 7)),
    ((5, 7), (1, 1)),
    ((3, 400), (8, 8)),
]


def noise(height, width, seed=0):
    """Return a frame of noise: the hardest picture to resize."""
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


def slope(height, width):
    """Return a frame whose red grows to the right and whose green grows downwards: a pixel says where it comes from."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0] = np.linspace(0, 255, width)[None]
    frame[..., 1] = np.linspace(0, 255, height)[:, None]
    frame[..., 2] = 255
    return frame


def stripes(height=720, width=1280, period=3):
    """Return a frame of diagonal stripes, which alias when pixels are skipped."""
    across = np.arange(width)[None] + np.arange(height)[:, None] // 2
    return np.repeat((across % period < period / 2)[..., None], 3, axis=2).astype(np.uint8) * 255


def resized(frame, size, **contract):
    return Preprocessor(small_contract(size=size, **contract)).resized(frame)


def by_pillow(frame, size, kind="bilinear", box=None):
    """Return what Pillow makes of a frame, `size` being (height, width) and `box` (left, top, right, bottom)."""
    return np.asarray(Image.fromarray(frame).resize(size[::-1], FILTERS[kind], box=box))


def levels_apart(first, second):
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second.astype(int)).max())


# --- Pillow's filters ---


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("of_frame", "size"), SIZES, ids=str)
def test_an_exact_resize_is_within_one_level_of_pillow(kind, of_frame, size):
    frame = noise(*of_frame)
    rows_first = by_pillow(by_pillow(frame, (of_frame[0], size[1]), kind), size, kind)  # as every Pillow up to 12
    assert levels_apart(pillow_resize(frame, size, kind), rows_first) <= 1


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("of_frame", [(720, 1280), (1280, 720), (301, 299), (224, 1000), (2000, 224)], ids=str)
def test_an_exact_resize_to_fewer_pixels_is_within_one_level_of_any_pillow(kind, of_frame):
    frame = noise(*of_frame)
    assert levels_apart(pillow_resize(frame, (224, 224), kind), by_pillow(frame, (224, 224), kind)) <= 1


@pytest.mark.parametrize("kind", FILTERS)
def test_an_exact_resize_of_black_and_white_edges_neither_wraps_nor_rings_over(kind):
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[10:30, 10:30] = 255
    for size in ((17, 23), (80, 90)):
        assert levels_apart(pillow_resize(frame, size, kind), by_pillow(frame, size, kind)) <= 1


def test_nearest_is_pillow_s_nearest_pixel_for_pixel():
    for of_frame, size in SIZES:
        frame = noise(*of_frame)
        expected = np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.NEAREST))
        found = resized(frame, size, resize="squash", interpolation="nearest")
        assert np.array_equal(found, expected), (of_frame, size)


# --- geometry, as the training side does it ---


def cropped_by_pillow(frame, side, kind):
    """Return what torchvision's Resize(side) and CenterCrop(side) make of a frame."""
    height, width = frame.shape[:2]
    short, long = min(height, width), max(height, width)
    other = int(side * long / short)
    whole = (side, other) if height <= width else (other, side)
    scaled = by_pillow(frame, whole, kind)
    top, left = round((whole[0] - side) / 2), round((whole[1] - side) / 2)
    return scaled[top : top + side, left : left + side]


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(
    "of_frame", [(720, 1280), (1280, 720), (97, 61), (55, 55), (55, 165), (30, 31), (64, 64), (31, 500)], ids=str
)
def test_an_exact_crop_is_torchvision_s_resize_and_centre_crop(kind, of_frame):
    frame = noise(*of_frame)
    found = resized(frame, (64, 64), resize="shortest_edge_crop", interpolation=kind, exact_resize=True)
    assert levels_apart(found, cropped_by_pillow(frame, 64, kind)) <= 1


@pytest.mark.parametrize("of_frame", [(720, 1280), (61, 97), (97, 61), (40, 40), (20, 30)], ids=str)
@pytest.mark.parametrize("interpolation", ["area", "bilinear", "bicubic"])
def test_a_crop_shows_the_centre_that_the_training_side_shows(of_frame, interpolation):
    frame = slope(*of_frame)
    found = resized(frame, (32, 32), resize="shortest_edge_crop", interpolation=interpolation)
    assert levels_apart(found, cropped_by_pillow(frame, 32, "bilinear")) <= 4  # half a pixel of the smallest frame


def test_a_crop_that_is_not_square_keeps_the_aspect_ratio():
    frame = slope(100, 100)
    found = resized(frame, (20, 40), resize="shortest_edge_crop")
    expected = by_pillow(frame, (20, 40), box=(0, 25, 100, 75))
    assert levels_apart(found, expected) <= 3


@pytest.mark.parametrize("of_frame", [(720, 1280), (61, 97), (97, 61), (20, 30)], ids=str)
@pytest.mark.parametrize("exact", [False, True])
def test_a_squash_shows_the_whole_frame_whatever_its_shape(of_frame, exact):
    frame = slope(*of_frame)
    found = resized(frame, (24, 40), resize="squash", interpolation="bilinear", exact_resize=exact)
    assert levels_apart(found, by_pillow(frame, (24, 40))) <= (1 if exact else 4)


@pytest.mark.parametrize(
    ("of_frame", "top", "left", "height", "width"),
    [((720, 1280), 7, 0, 18, 32), ((100, 50), 0, 8, 32, 16), ((64, 64), 0, 0, 32, 32), ((9, 16), 7, 0, 18, 32)],
    ids=str,
)
@pytest.mark.parametrize("exact", [False, True])
def test_a_letterbox_shows_the_whole_frame_in_the_middle_of_the_mean_colour(of_frame, top, left, height, width, exact):
    frame = slope(*of_frame)
    contract = small_contract(
        size=(32, 32), resize="letterbox", interpolation="bilinear", mean=(0.2, 0.4, 0.6), exact_resize=exact
    )
    found = Preprocessor(contract).resized(frame)
    expected = np.empty((32, 32, 3), np.uint8)
    expected[...] = (51, 102, 153)
    expected[top : top + height, left : left + width] = by_pillow(frame, (height, width))
    assert levels_apart(found, expected) <= (1 if exact else 6)
    inside = np.zeros((32, 32), np.bool_)
    inside[top : top + height, left : left + width] = True
    assert np.array_equal(found[~inside], expected[~inside])


def test_the_padding_of_a_letterbox_is_zero_after_normalising():
    contract = small_contract(size=(32, 32), resize="letterbox", mean=(0.2, 0.4, 0.6))
    pixels = Preprocessor(contract)([slope(9, 16)])
    assert np.abs(pixels[0, :, 0]).max() < 1e-6


# --- aliasing ---


def cosine(first, second):
    first, second = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


@pytest.mark.parametrize("period", [2, 3, 4, 5, 7, 9, 12])
def test_averaging_is_nearer_to_pillow_than_skipping_pixels_on_stripes(period):
    frame = stripes(period=period)
    expected = by_pillow(frame, (224, 224))
    averaged = resized(frame, (224, 224), resize="squash", interpolation="bilinear")
    skipped = cv2.resize(frame, (224, 224), interpolation=cv2.INTER_LINEAR)
    assert cosine(averaged, expected) > 0.98
    assert cosine(skipped, expected) < 0.95


@pytest.mark.parametrize("interpolation", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("of_frame", [(720, 1280), (1280, 720), (100, 1280), (1280, 100)], ids=str)
def test_no_stripe_finer_than_a_pixel_survives_whichever_side_shrinks(interpolation, of_frame):
    height, width = of_frame
    frame = np.zeros((height, width, 3), np.uint8)
    fine = (slice(None), slice(None, None, 2)) if width > height else (slice(None, None, 2),)
    frame[fine] = 255
    found = resized(frame, (128, 128), resize="squash", interpolation=interpolation)
    assert found.std() < 20, "grey, not a pattern"


# --- values ---


def test_pixels_are_normalised_as_the_contract_says():
    contract = small_contract(size=(8, 8), resize="squash", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    preprocess, frame = Preprocessor(contract), noise(20, 30)
    expected = (preprocess.resized(frame) / 255.0 - contract.mean) / contract.std
    pixels = preprocess([frame])
    assert pixels.dtype == np.float32
    assert pixels.shape == (1, 3, 8, 8)
    np.testing.assert_allclose(pixels[0], expected.transpose(2, 0, 1), atol=1e-5)


def test_a_uint8_contract_gives_the_levels_as_they_are():
    preprocess, frame = Preprocessor(small_contract(dtype="uint8")), noise(40, 30)
    pixels = preprocess([frame])
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[0], preprocess.resized(frame).transpose(2, 0, 1))


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_nearly_black_frame_is_scaled_like_any_other(dtype):
    preprocess = Preprocessor(small_contract(dtype=dtype))
    for level in (0, 1, 2, 254, 255):
        pixels = preprocess([np.full((24, 32, 3), level, np.uint8)])
        expected = level if dtype == "uint8" else (level / 255 - 0.5) / 0.5
        np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_channels_stay_red_green_blue():
    frame = np.zeros((24, 32, 3), np.uint8)
    frame[..., 0] = 200
    pixels = Preprocessor(small_contract(dtype="uint8"))([frame])
    assert [int(plane.max()) for plane in pixels[0]] == [200, 0, 0]


def test_a_frame_does_not_depend_on_its_neighbours():
    preprocess, frames = Preprocessor(small_contract()), [noise(24, 32), noise(50, 20), slope(16, 16)]
    together = preprocess(frames)
    assert together.shape == (3, 3, 16, 16)
    for row, frame in zip(together, frames, strict=True):
        assert np.array_equal(row, preprocess([frame])[0])


def test_no_frames_give_no_pixels():
    assert Preprocessor(small_contract())([]).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_pixels_are_the_caller_s_own(dtype):
    preprocess, frame = Preprocessor(small_contract(dtype=dtype)), noise(16, 16)
    before, pixels = frame.copy(), preprocess([frame])
    kept = pixels.copy()
    frame[...] = 0
    preprocess([noise(16, 16, seed=1)])
    assert np.array_equal(pixels, kept), "neither the frame nor the next call reaches them"
    pixels[...] = 0
    assert np.array_equal(preprocess([before]), kept)


VIEWS = {
    "upside down": lambda frame: frame[::-1],
    "mirrored": lambda frame: frame[:, ::-1],
    "BGR": lambda frame: frame[..., ::-1],
    "every second pixel": lambda frame: frame[::2, ::2],
    "a region": lambda frame: frame[3:30, 5:41],
    "transposed": lambda frame: frame.transpose(1, 0, 2),
    "column by column": np.asfortranarray,
    "planes": lambda frame: np.ascontiguousarray(frame.transpose(2, 0, 1)).transpose(1, 2, 0),
    "repeated": lambda frame: np.broadcast_to(frame[:1], frame.shape),
    "of the right size": lambda frame: frame[8:24, 8:24][::-1],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("contract", [{}, {"exact_resize": True, "interpolation": "bicubic"}, {"resize": "letterbox"}])
def test_how_a_frame_lies_in_memory_does_not_matter(view, contract):
    preprocess, frame = Preprocessor(small_contract(**contract)), view(noise(40, 50))
    frame.flags.writeable = False
    assert np.array_equal(preprocess([frame]), preprocess([np.ascontiguousarray(frame)]))


@pytest.mark.parametrize("of_frame", [(1, 1), (1, 70_000), (70_000, 1), (2, 3)], ids=str)
@pytest.mark.parametrize("resize", ["shortest_edge_crop", "squash", "letterbox"])
@pytest.mark.parametrize("interpolation", ["area", "bilinear", "bicubic", "nearest"])
def test_a_frame_of_any_shape_is_taken(of_frame, resize, interpolation):
    frame = np.full((*of_frame, 3), 255, np.uint8)
    contract = small_contract(resize=resize, interpolation=interpolation, mean=(1.0,) * 3)
    np.testing.assert_allclose(Preprocessor(contract)([frame]), 0, atol=1e-6)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((24, 32), np.uint8),
        np.zeros((24, 32, 1), np.uint8),
        np.zeros((24, 32, 4), np.uint8),
        np.zeros((1, 24, 32, 3), np.uint8),
        np.zeros((3, 24, 32), np.uint8),
        np.zeros((24, 32, 3), np.float32),
        np.zeros((24, 32, 3), np.int8),
        np.zeros((0, 32, 3), np.uint8),
        np.zeros((24, 0, 3), np.uint8),
        np.array(0, np.uint8),
        None,
        [[[0, 0, 0]]],
        "frame.jpg",
    ],
    ids=lambda array: str(getattr(array, "shape", array)),
)
def test_what_is_not_a_frame_is_refused_with_what_it_is(array):
    preprocess = Preprocessor(small_contract())
    for call in (preprocess.resized, lambda array: preprocess([array])):
        with pytest.raises(ContractError) as caught:
            call(array)
        assert caught.value.code == "bad_frame"
        assert caught.value.expected


def test_without_opencv_the_extra_is_named():
    program = (
        "import sys; sys.modules['cv2'] = None;"
        "from edgezsl.errors import MissingExtraError; from edgezsl.preprocess import Preprocessor;"
        "from edgezsl.contract import InputContract as C\n"
        "try: Preprocessor(C((4, 4), 'squash', 'area', (0, 0, 0), (1, 1, 1), 'uint8', 'a', 'b'))\n"
        "except MissingExtraError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "run: pip install 'edgezsl[camera]'\n"
