"""Real processes, which `torchrun` starts, and that share one computer's memory with nothing but the network between them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from edgezsl.errors import InputError
from edgezsl.zsl.data_parallel import ALONE, Processes, SharedBatchNorm, with_shared_batches
from tests.zsl.shared_training import train

pytestmark = pytest.mark.timeout(300)  # each process imports torch, and there are three of them
SCRIPT = Path(__file__).parent / "shared_training.py"


def started(folder, *, steps=4, killed=-1, count=2):
    """Run the toy training in several processes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    arguments = [str(SCRIPT), str(folder), str(steps), str(killed)]
    return subprocess.run([*torchrun, *arguments], capture_output=True, text=True, timeout=280, check=False)


def assert_equal_weights(found, expected, *, tolerance):
    left, right = load_file(found), load_file(expected)
    assert left.keys() == right.keys()
    for name, value in right.items():
        assert (left[name].double() - value.double()).abs().max() <= tolerance * value.double().abs().max(), name


def test_two_processes_end_with_the_weights_of_one_that_has_the_whole_batch(tmp_path):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    whole.mkdir()
    shared.mkdir()
    done = started(shared)
    assert done.returncode == 0, done.stderr
    train(whole, 4)
    assert_equal_weights(shared / "weights.0.safetensors", whole / "weights.0.safetensors", tolerance=1e-4)
    assert_equal_weights(shared / "weights.1.safetensors", shared / "weights.0.safetensors", tolerance=0)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [step for step, _ in lines] == ["2", "4"]  # the first process alone speaks


def test_a_killed_process_ends_the_others_with_one_sentence_and_the_run_goes_on_from_its_checkpoint(tmp_path):
    done = started(tmp_path, killed=1)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("edgezsl: ")]
    assert len(said) == 1, done.stderr
    assert "another process of this training has ended" in said[0]
    assert "goes on from the last checkpoint" in said[0]
    assert not list(tmp_path.glob("weights.*"))
    train(tmp_path, 4)  # with another number of processes, too
    whole = tmp_path / "whole"
    whole.mkdir()
    train(whole, 4)
    assert_equal_weights(tmp_path / "weights.0.safetensors", whole / "weights.0.safetensors", tolerance=1e-4)


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused():
    assert Processes(1, 3).share_of(48) == slice(16, 32)
    with pytest.raises(InputError, match="a batch of 48 cannot be shared out among 5 processes"):
        Processes(0, 5).share_of(48)


def test_a_single_process_computes_with_its_own_layers_and_values():
    network, values = nn.Sequential(nn.BatchNorm2d(3)), torch.ones(2)
    assert with_shared_batches(network, ALONE)[0].__class__ is nn.BatchNorm2d
    assert ALONE.mean(values) is values


def test_shared_batch_normalisation_is_that_of_pytorch():
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(3)
    plain.weight.data.uniform_(0.5, 2)
    shared = SharedBatchNorm(plain_copy(plain), ALONE)
    features = 5 + torch.randn(4, 3, 5, 5)
    left, right = (features.clone().requires_grad_() for _ in range(2))
    weights = torch.randn_like(features)
    for layer, given in ((plain, left), (shared, right)):
        (layer(given) * weights).sum().backward()
    assert torch.allclose(left.grad, right.grad, atol=1e-5)
    assert torch.allclose(plain.weight.grad, shared.weight.grad, rtol=1e-4)
    for name, value in plain.state_dict().items():
        assert torch.allclose(value.float(), shared.state_dict()[name].float(), rtol=1e-5), name
    assert torch.allclose(plain.eval()(features), shared.eval()(features), atol=1e-5)


def plain_copy(layer):
    other = nn.BatchNorm2d(layer.num_features)
    other.load_state_dict(layer.state_dict())
    return other
