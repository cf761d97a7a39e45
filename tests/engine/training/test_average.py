from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._python_dispatch import TorchDispatchMode

from segbench.engine.training.average import WeightAverage


def network(layers=3, device="cpu"):
    """Convolutions with batch norm, whose counts of batches are whole numbers, and a buffer of another type."""
    parts = [part for _ in range(layers) for part in (nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3))]
    made = nn.Sequential(*parts)
    made.register_buffer("seen", torch.tensor([[True, False]]))
    made.register_buffer("counts", torch.tensor([[3, 5], [7, 100]], dtype=torch.int32))
    return made.to(device)


def change(module, step):
    generator = torch.Generator().manual_seed(step)
    for tensor in (*module.parameters(), *module.buffers()):
        made = torch.randint(0, 50, tensor.shape, generator=generator)
        tensor.data.copy_(made / 7 if tensor.is_floating_point() else made)


def test_an_average_is_that_of_torch_bit_by_bit():
    model = network()
    ours = WeightAverage(model, 0.9)
    torchs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for step in range(5):
        change(model, step)
        ours.update_parameters(model)
        torchs.update_parameters(model)
        assert ours.state_dict().keys() == torchs.state_dict().keys()
        for name, tensor in torchs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], tensor), (step, name)
            assert ours.state_dict()[name].dtype == tensor.dtype


def test_an_average_that_is_restored_goes_on():
    model = network()
    first, second = WeightAverage(model, 0.9), WeightAverage(model, 0.9)
    for step in range(2):
        change(model, step)
        first.update_parameters(model)
    second.load_state_dict(first.state_dict())
    change(model, 2)
    for one in (first, second):
        one.update_parameters(model)
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name


class Moves(TorchDispatchMode):
    """Notes operations, and those whose result is on another device than what they take."""

    def __init__(self):
        super().__init__()
        self.operations, self.moves = [], []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        self.operations.append(str(function))
        devices = {one.device for one in (*arguments, result) if isinstance(one, torch.Tensor)}
        if len(devices) > 1:
            self.moves.append(str(function))
        return result


def operations_of_an_update(layers):
    model = network(layers, device="meta")
    average = WeightAverage(model, 0.9)
    average.n_averaged.fill_(1)
    with Moves() as found:
        average.update_parameters(model)
    assert found.moves == []
    # What only looks at a tensor in another way runs nothing on a device.
    return [name for name in found.operations if not any(view in name for view in ("detach", "view", "reshape"))]


def test_nothing_is_sent_to_the_device_and_operations_do_not_grow_with_the_layers():
    few, many = operations_of_an_update(2), operations_of_an_update(20)
    assert few == many
    assert len(few) < 40
