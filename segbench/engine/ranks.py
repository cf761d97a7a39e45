"""The processes that train a cell together, each with a share of every batch.

A training step is cut at the generator's output, and there the processes meet: each passes its share of the batch
through the networks, the outputs of all are gathered, and from there on all compute the same: the losses of the whole
batch, their gradients, weights and observations. So there is no loss that could not be shared, and nothing need know
how it is averaged. What is drawn outside of the networks is drawn alike in all processes, inside by each for itself. On
the way back each carries the gradient of its share through the networks, and the gradients of parameters are added up.
"""

from __future__ import annotations

import os
import socket
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, compress, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist

from segbench.errors import CellError, LostProcessError, first_line

from .batch_norm import NormaliseTogether, batch_norm_together
from .numerics import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor, nn

    from .batch_norm import BatchNorm

    Network = Callable[..., Any]

Told = TypeVar("Told", bool, float)
Thing = TypeVar("Thing")

# For what one process does alone meanwhile, such as to write a checkpoint. The parent ends all once one has died.
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of its cell, from 0; the first one leads.

    Alone, as by default, it exchanges nothing, and every method returns what it is given.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process decides, reports and writes files."""
        return self.rank == 0

    def spread(self, network: Network, batch_norm: BatchNorm = batch_norm_together) -> Network:
        """Return a function that takes and returns whole batches, of which each process passes its share.

        What cannot be divided evenly each passes whole, if only to look at it; CellError if it would learn from that.
        """
        if self.count == 1:
            return network

        def passed(*inputs: Tensor) -> Any:
            if len(inputs[0]) % self.count:
                return self._pass_whole(network, inputs)
            shares = [_share(whole, self) for whole in inputs]
            with draws_of_its_own(self.rank, inputs[0].device), NormaliseTogether(self.count, batch_norm):
                output = network(*shares)
            return self._join(output, len(shares[0]))

        return passed

    def _pass_whole(self, network: Network, inputs: Sequence[Tensor]) -> Any:
        if torch.is_grad_enabled():
            raise CellError(
                f"a network is to learn from {len(inputs[0])} images, which {self.count} processes cannot divide into "
                "equal shares; set protocol.processes to 1"
            )
        return network(*inputs)

    def _join(self, output: Any, number: int) -> Any:
        """Return an output for `number` images, one tensor or several, as that of the whole batch."""
        if isinstance(output, (tuple, list)):
            parts = [self._join(part, number) for part in output]
            return tuple(parts) if isinstance(output, tuple) else parts
        if not isinstance(output, torch.Tensor):
            return output
        if output.ndim == 0 or len(output) != number:
            raise CellError(
                f"a network returned {tuple(output.shape)} for {number} images, which several processes cannot put "
                "together by images; set protocol.processes to 1"
            )
        return _gather(output, self)

    def share(self, whole: Tensor) -> Tensor:
        """Return this process's share of a batch."""
        return whole.chunk(self.count)[self.rank].clone()

    def gather(self, share: Tensor) -> Tensor:
        """Return a batch, given this process's share."""
        share = share.contiguous()
        parts = [torch.empty_like(share) for _ in range(self.count)]
        dist.all_gather(parts, share)
        return torch.cat(parts)

    def repeated(self, whole: Tensor) -> Tensor:
        """Return a gathered output for a loss that has weights of its own, of which each process has all gradients.

        That loss is to begin its way back with a gradient of 1 / count, so that the sum is once what it is.
        """
        repeated: Tensor = whole if self.count == 1 else _repeated(whole, self)
        return repeated

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of parameters by the sums of those of all processes.

        A process whose share passed by a layer, which some networks leave out at random, adds 0 to its gradients.
        """
        if self.count == 1:
            return
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        used = torch.tensor([parameter.grad is not None for parameter in learning], dtype=torch.int32)
        dist.all_reduce(used)
        gradients = [_gradient(parameter) for parameter in compress(learning, used.tolist())]
        if not gradients:
            return
        sums = self.add(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, total in zip(gradients, torch.split(sums, [one.numel() for one in gradients]), strict=True):
            gradient.copy_(total.view(gradient.shape))

    def add(self, numbers: Tensor) -> Tensor:
        """Return the sum of all processes' tensors, in the memory of this one."""
        if self.count > 1:
            dist.all_reduce(numbers)
        return numbers

    def largest(self, number: int | None) -> int | None:
        """Return the largest of all processes' numbers; None if nobody has one."""
        if self.count == 1:
            return number
        found = torch.tensor(number or 0)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found) or None

    def agree(self, value: Told) -> Told:
        """Return the leader's value."""
        if self.count == 1:
            return value
        told = torch.tensor(float(value), dtype=torch.float64)
        dist.broadcast(told, 0)
        return type(value)(told.item())

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Have the leader do what is in the block before the others do it."""
        if not self.leads:
            self.agree(True)
        yield
        if self.leads:
            self.agree(True)

    def deal(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """Yield those things that fall to this process, dealt in turn."""
        return islice(things, self.rank, None, self.count)

    def collect(self, parts: Sequence[dict[str, Tensor]]) -> Sequence[dict[str, Tensor]]:
        """Return the parts that all processes made of what was dealt, those of one process after those of another."""
        if self.count == 1:
            return parts
        hands: list[Any] = [None] * self.count
        dist.all_gather_object(hands, [{name: tensor.cpu() for name, tensor in part.items()} for part in parts])
        return list(chain.from_iterable(hands))

    def start_alike(self, network: nn.Module) -> None:
        """Give a network the leader's weights and buffers."""
        if self.count == 1:
            return
        for tensor in _tensors(network):
            told = tensor.contiguous()
            dist.broadcast(told, 0)
            tensor.copy_(told)

    def check_alike(self, network: nn.Module) -> None:
        """Raise CellError if a network's weights or buffers are no longer those of the leader, up to rounding."""
        if self.count == 1:
            return
        sums = torch.stack([tensor.double().sum().cpu() for tensor in _tensors(network)])
        told = sums.clone()
        dist.broadcast(told, 0)
        if not torch.allclose(sums, told, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise CellError(
                "the processes of the cell ended with different weights: a network keeps a state that depends on the "
                "images that it sees, other than by batch norm; set protocol.processes to 1"
            )


ALONE = Ranks()


class _Share(torch.autograd.Function):
    """This process's share of a batch; on the way back, the gradients of all shares."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.share(whole)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return _gather(*gradients, ctx.ranks), None


class _Gather(torch.autograd.Function):
    """The shares of all processes as a batch; on the way back, this process's share of the gradient, which all have."""

    @staticmethod
    def forward(ctx: Any, share: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.gather(share)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return _share(*gradients, ctx.ranks), None


class _Repeated(torch.autograd.Function):
    """What it is given; on the way back, as many times the gradient as there are processes."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, ranks: Ranks) -> Tensor:
        ctx.count = ranks.count
        return whole.view_as(whole)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0] * ctx.count, None


# torch does not type them.
_share: Any = _Share.apply
_gather: Any = _Gather.apply
_repeated: Any = _Repeated.apply


@contextmanager
def draws_of_its_own(rank: int, device: torch.device) -> Iterator[None]:
    """Draw other numbers than the other processes do inside the block, and the same as they do after it.

    The numbers follow from those that all would draw next.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index])
    before = [generator.get_state() for generator in generators]
    seed = zlib.crc32(b"".join(state.numpy().tobytes() for state in before))
    for generator in generators:
        generator.manual_seed(derive(seed, "share", rank))
    seeded = [generator.get_state() for generator in generators]
    yield
    for generator, common, own in zip(generators, before, seeded, strict=True):
        drew = not torch.equal(generator.get_state(), own)
        generator.set_state(common)
        if drew:  # the next block draws anew
            torch.rand((), generator=generator, device=generator.device)


def join(rank: int, count: int, meeting: str | None, device: torch.device) -> Ranks:
    """Meet the other processes of a cell in a folder, and share the CPU threads with them; alone without a folder.

    They are on one machine: they speak over its loopback interface, and no store listens.
    """
    if meeting is None:
        return ALONE
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = loopback
    backend = "gloo"
    if device.type == "cuda":
        backend = "cpu:gloo,cuda:nccl"
    store = dist.FileStore(str(Path(meeting) / "store"), count)  # type: ignore[attr-defined] # not in its stubs
    with name_lost_processes():
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    return Ranks(rank, count)


@contextmanager
def name_lost_processes() -> Iterator[None]:
    """Turn the errors of an exchange with a process that has ended into LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        if not any(name in str(error).lower() for name in ("gloo", "nccl", "filestore")):
            raise
        raise LostProcessError(
            f"the processes of the cell cannot exchange, as where one has ended or is silent for {PATIENCE.seconds} s: "
            f"{first_line(error)}"
        ) from error


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(network.parameters(), network.buffers())]
