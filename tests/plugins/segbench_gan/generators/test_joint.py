from __future__ import annotations

import torch

from segbench_gan.generators import build_dcgan, build_joint


def test_it_is_a_dcgan_and_a_head_for_the_labels():
    joint = build_joint(4, 3, 5, (20, 33), width=4).eval()
    dcgan = build_dcgan(4, 3, (20, 33), width=4).eval()
    head = {name: tensor for name, tensor in joint.state_dict().items() if name.startswith("logits.")}
    assert sum(tensor.numel() for tensor in head.values()) == 16 * 4 * 5 + 5
    dcgan.load_state_dict({name: tensor for name, tensor in joint.state_dict().items() if name not in head})
    noise = torch.randn(2, 4)
    image, logits = joint(noise)
    assert image.equal(dcgan(noise))
    assert logits.shape == (2, 5, 20, 33)


def test_the_logits_are_not_probabilities():
    _, logits = build_joint(4, 3, 5, (16, 16), width=4)(torch.randn(2, 4))
    assert (logits < 0).any()
    assert not torch.allclose(logits.sum(dim=1), torch.ones(2, 16, 16))
