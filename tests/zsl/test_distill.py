from dataclasses import replace

import numpy as np
import pytest
import torch

from edgezsl.data.pool import CropPool, Crops
from edgezsl.encoders.compact import CompactEncoder, multiply_adds
from edgezsl.zsl.distill import Distiller, Schedule, Stage, TeacherSpace, jittered, known_targets, light_changes

CLASSES, FEATURES, DIM = 6, 10, 4


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def space(seed=0):
    rng = np.random.default_rng(seed)
    features = rng.random((200, FEATURES))
    classifier = rng.standard_normal((CLASSES, FEATURES)).astype(np.float32)
    return TeacherSpace.fit(features, classifier, np.zeros(CLASSES, np.float32), dim=DIM, power=0.5)


def pool(images=8):
    """Crops of one colour each, each with an answer of its own: a pupil can learn them."""
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (images, 3))
    answers = rng.standard_normal((images, 1, FEATURES)) * 3
    return CropPool(
        [
            Crops(
                images=[np.full((32, 32, 3), colour, np.uint8) for colour in colours],
                boxes=np.tile(np.array([0, 0, 32, 32], np.uint16), (images, 1, 1)),
                answers=answers.astype(np.float16),
                targets=np.arange(images) % CLASSES,
                share=1.0,
            )
        ],
        seed=0,
    )


SCHEDULE = Schedule(
    stages=(),
    batch=8,
    learning_rate=3e-3,
    weight_decay=0.02,
    warmup=2,
    feature_weight=4.0,
    answer_weight=1.0,
    class_weight=0.5,
    temperature=1.5,
    logit_scale=20.0,
    jitter=0.3,
)


def schedule(steps=6, **choices):
    return replace(SCHEDULE, stages=(Stage(32, 8 * steps),), **choices)


def pupil():
    torch.manual_seed(0)
    return CompactEncoder(DIM)


def trained(path, *, cut_at=None):
    distiller = Distiller(pupil(), space(), schedule(), seed=0)
    for step in distiller.run(pool(), path, every=2):
        if step.step == cut_at:
            break
    return distiller


def test_a_run_that_was_cut_off_ends_with_the_weights_of_one_that_was_not(tmp_path):
    whole = trained(tmp_path / "whole.safetensors")
    trained(tmp_path / "cut.safetensors", cut_at=4)
    rest = trained(tmp_path / "cut.safetensors")
    assert rest.step == whole.step == 6
    for name, value in whole.pupil.state_dict().items():
        assert torch.equal(value, rest.pupil.state_dict()[name]), name


def test_equal_runs_write_equal_checkpoints(tmp_path):
    for name in ("a", "b"):
        trained(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_pupil_comes_nearer_to_its_teacher(tmp_path):
    alone = schedule(steps=40, jitter=0.0, answer_weight=0.0, class_weight=0.0)  # the classes of the toy contradict it
    distiller = Distiller(pupil(), space(), alone, seed=0)
    steps = list(distiller.run(pool(), tmp_path / "c.safetensors", every=10))
    assert steps[-1].agreement > steps[0].agreement + 0.2
    assert steps[-1].loss < steps[0].loss


def test_the_space_holds_unit_rows_and_orthonormal_directions():
    found = space()
    assert np.allclose(np.linalg.norm(found.rows, axis=1), 1, atol=1e-5)
    assert np.allclose(found.projection.T @ found.projection, np.eye(DIM), atol=1e-5)
    assert found.rows.shape == (CLASSES, DIM)


def test_rows_are_turned_towards_directions_in_which_features_vary():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((500, 4)) * [10, 1, 1, 1]
    classifier = np.eye(4, dtype=np.float32)
    still, turned = (
        TeacherSpace.fit(features, classifier, np.zeros(4, np.float32), dim=3, power=power) for power in (0.0, 2.0)
    )
    strength = [np.abs((one.rows @ one.projection.T)[0, 0]) for one in (still, turned)]
    assert strength[1] > strength[0]


def test_the_rate_rises_then_falls_to_nothing():
    plan = schedule(steps=10)
    rates = [plan.rate(step, 10) for step in range(11)]
    assert rates[0] < plan.learning_rate
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[10] == pytest.approx(0)


def test_steps_follow_the_stages():
    plan = replace(SCHEDULE, stages=(Stage(96, 300), Stage(128, 256)), batch=128)
    assert plan.steps() == [(0, 96), (1, 96), (2, 128), (3, 128)]


def test_jitter_changes_each_crop_by_itself_and_stays_in_range():
    crops = torch.full((6, 5, 5, 3), 200, dtype=torch.uint8)
    pixels = jittered(crops, light_changes(6, 0.3, torch.Generator().manual_seed(0)))
    assert pixels.shape == (6, 3, 5, 5)
    assert pixels.abs().max() <= 1
    assert len({round(float(one.mean()), 4) for one in pixels}) == 6
    same = jittered(crops, light_changes(6, 0.0, torch.Generator().manual_seed(0)))
    assert torch.allclose(same, torch.full_like(same, 200 / 127.5 - 1), atol=1e-5)


def test_labels_become_indices_and_unknown_ones_minus_one():
    assert known_targets(["b", "x", "a"], ["a", "b"]).tolist() == [1, -1, 0]


def test_the_encoder_gives_unit_rows_within_its_budget():
    encoder = CompactEncoder(384).eval()
    with torch.no_grad():
        rows = encoder(torch.rand(2, 3, 96, 96) * 2 - 1)
    assert rows.shape == (2, 384)
    assert torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-5)
    assert multiply_adds(encoder, 128) <= 60e6
    assert 1e6 <= sum(one.numel() for one in encoder.parameters()) <= 3e6
