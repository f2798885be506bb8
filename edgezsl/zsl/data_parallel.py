"""Several processes that train one network, each on its share of every batch, as `torchrun` starts them.

They do what one process does with the whole batch: gradients are averaged, and so is what batch normalisation measures (Ioffe and
Szegedy, "Batch normalization", ICML 2015, algorithm 1), which would otherwise be that of a share. PyTorch's own `SyncBatchNorm` does
that on GPUs only.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import distributed, nn

from edgezsl.errors import InputError, TransientError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from torch import Tensor

_LONGEST_WAIT = timedelta(days=7)  # for what the first process does alone; a death is noticed at once
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Processes:
    """Those that train together, seen from one of them.

    Attributes:
        rank: Of this one, from 0.
        count: How many there are.
        device: Where this one computes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = _CPU

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def share_of(self, size: int) -> slice:
        """Return which rows of a batch are this one's.

        Raises:
            InputError: When not all would have equally many.
        """
        if size % self.count:
            raise InputError(
                f"a batch of {size} cannot be shared out among {self.count} processes",
                code="uneven_shares",
                expected="a number of processes that divides the batch",
                hint="change --nproc-per-node of torchrun, or the recipe's batch",
            )
        own = size // self.count
        return slice(self.rank * own, (self.rank + 1) * own)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over all processes of `values`, of any shape: a new tensor, and their own of a single process.

        Raises:
            TransientError: When another process has ended.
        """
        if self.count == 1:
            return values
        total = values.detach().clone(memory_format=torch.contiguous_format)
        try:
            distributed.all_reduce(total)
        except RuntimeError as cause:
            raise _ended("another process of this training has ended: it no longer answers") from cause
        return total / self.count

    def wait(self) -> None:
        """Return when every process has come here.

        Raises:
            TransientError: When another process has ended.
        """
        self.mean(torch.zeros(1))

    def average_gradients(self, network: nn.Module) -> None:
        """Replace the gradients of a network's parameters by their means over all processes.

        Raises:
            TransientError: When another process has ended.
        """
        if self.count == 1:
            return
        gradients = [one.grad for one in network.parameters() if one.grad is not None]
        means = torch.split_with_sizes(
            self.mean(torch.cat([one.flatten() for one in gradients])), [one.numel() for one in gradients]
        )
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view(gradient.shape))


ALONE = Processes()


@contextmanager
def processes_of_torchrun() -> Iterator[Processes]:
    """Join the processes that `torchrun` started this one with, and leave them; without it there is one, on the CPU.

    Each takes a GPU of its own where the machine has any. Whoever is told by `torchrun` to end because another one has, says so.

    Raises:
        TransientError: When the processes do not find each other, or another one has ended.
    """
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else _CPU
    if device.type == "cuda":
        torch.cuda.set_device(device)
    before = signal.signal(signal.SIGTERM, _told_to_end)
    try:
        try:
            backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, timeout=_LONGEST_WAIT)
        except (RuntimeError, ValueError) as cause:
            raise _ended(f"the processes of this training do not find each other ({first_line(cause)})") from cause
        yield Processes(distributed.get_rank(), distributed.get_world_size(), device)
    except BaseException:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends by itself, and says why first
        raise
    else:
        signal.signal(signal.SIGTERM, before)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _told_to_end(_number: int, _frame: FrameType | None) -> None:
    raise _ended("torchrun ends this process: another one has ended, or it was told to end itself")


def _ended(what: str) -> TransientError:
    hint = "give the same command again: it goes on from the last checkpoint"
    return TransientError(what, code="process_lost", hint=hint)


class _Context(Protocol):
    processes: Processes


class _Mean(torch.autograd.Function):
    """The mean over all processes, through which gradients flow back to each of them."""

    @staticmethod
    def forward(ctx: _Context, values: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.mean(values)

    @staticmethod
    def backward(ctx: _Context, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.mean(gradients[0]), None


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of `(N, C, H, W)` by mean and variance of the whole batch, of which each process has a share.

    Args:
        layer: Whose parameters and running figures it takes over.
        processes: Those with the other shares.
    """

    def __init__(self, layer: nn.BatchNorm2d, processes: Processes) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum)
        self.processes = processes
        for name, value in (*layer.named_parameters(), *layer.named_buffers()):
            setattr(self, name, value)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, normalised over all shares in training; else by the running figures."""
        if not self.training:
            return super().forward(features)
        mean = self._mean(features.mean((0, 2, 3), keepdim=True))
        centred = features - mean
        variance = self._mean(centred.square().mean((0, 2, 3), keepdim=True))
        self._run(mean.detach().flatten(), variance.detach().flatten(), self.processes.count * features[:, 0].numel())
        scale = self.weight.view(1, -1, 1, 1) * (variance + self.eps).rsqrt()
        return centred * scale + self.bias.view(1, -1, 1, 1)

    def _mean(self, values: Tensor) -> Tensor:
        return cast("Tensor", _Mean.apply(values, self.processes))  # type: ignore[no-untyped-call]  # its stub knows no types

    def _run(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Follow the figures of the batch: the variance as it is estimated of a sample of `count` values."""
        momentum = cast("float", self.momentum)
        for running, value in ((self.running_mean, mean), (self.running_var, variance * (count / (count - 1)))):
            cast("Tensor", running).lerp_(value, momentum)
        cast("Tensor", self.num_batches_tracked).add_(1)


def with_shared_batches(network: nn.Module, processes: Processes) -> nn.Module:
    """Return a network whose batch normalisation is that of all processes' shares: itself, its layers replaced."""
    if processes.count == 1:
        return network
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                parent.add_module(name, SharedBatchNorm(layer, processes))
    return network
