import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgezsl.data.crops import CropLaw, crop_boxes, cut
from edgezsl.data.pool import CropPool, Crops

SIDES = st.integers(2, 700)


@given(SIDES, SIDES, st.floats(0.05, 1), st.integers(0, 2**32 - 1))
def test_every_box_lies_inside_its_image(height, width, least_area, seed):
    boxes = crop_boxes(height, width, CropLaw(9, least_area), np.random.default_rng(seed)).astype(int)
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, 0] + boxes[:, 2] <= height).all()
    assert (boxes[:, 1] + boxes[:, 3] <= width).all()


def test_the_first_box_is_the_largest_centred_square():
    boxes = crop_boxes(100, 60, CropLaw(3, 0.2), np.random.default_rng(0))
    assert boxes[0].tolist() == [20, 0, 60, 60]


def test_a_crop_is_the_part_of_the_image_that_its_box_names():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 30:40] = 200
    assert cut(image, np.array([10, 30, 10, 10], np.uint16), 5).min() == 200
    assert cut(image, np.array([10, 30, 10, 10], np.uint16), 20).min() == 200


def crops(value, target, share, images=4):
    picture = np.full((32, 32, 3), value, np.uint8)
    return Crops(
        images=[picture] * images,
        boxes=np.tile(np.array([0, 0, 32, 32], np.uint16), (images, 2, 1)),
        answers=np.full((images, 2, 3), value, np.float16),
        targets=np.full(images, target, np.int64),
        share=share,
    )


def test_a_batch_depends_on_seed_and_step_alone():
    sets = [crops(10, 0, 1.0), crops(200, 1, 1.0)]
    pool, again = CropPool(sets, seed=3), CropPool(sets, seed=3)
    list(again.batches([(0, 8), (1, 8)], 16))  # what was drawn before must not matter
    assert np.array_equal(pool.batch(5, 16, 8).crops, again.batch(5, 16, 8).crops)
    assert not np.array_equal(pool.batch(5, 16, 8).targets, pool.batch(6, 16, 8).targets)


def test_each_set_gets_its_share_and_every_crop_its_own_answer_and_target():
    pool = CropPool([crops(10, 0, 3.0), crops(200, -1, 1.0)], seed=0)
    batch = pool.batch(0, 2000, 4)
    light = batch.crops[:, 0, 0, 0] == 200
    assert 0.2 < light.mean() < 0.3
    assert (batch.targets == np.where(light, -1, 0)).all()
    assert (batch.answers[:, 0] == batch.crops[:, 0, 0, 0]).all()


def test_batches_come_in_the_order_of_their_steps():
    pool = CropPool([crops(10, 0, 1.0), crops(200, 1, 1.0)], seed=0)
    steps = [(4, 8), (7, 16), (2, 8)]
    for batch, (step, side) in zip(pool.batches(steps, 8), steps, strict=True):
        assert np.array_equal(batch.targets, pool.batch(step, 8, side).targets)
        assert batch.crops.shape == (8, side, side, 3)
