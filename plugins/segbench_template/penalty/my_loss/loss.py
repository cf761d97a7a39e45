"""The penalty: write yours in place of this one."""

import torch


def penalty(discriminator, real, fake):
    """Return R2 (Mescheder 2018): half the mean squared norm of the discriminator's gradient at the fakes.

    - discriminator: scores fields (N, F, H, W); returns one map of scores, or a list of maps of several sizes
    - real, fake: fields (N, F, H, W), float32
    - returns: a scalar, 0 or more
    """
    fake = fake.detach().requires_grad_()
    maps = discriminator(fake)
    maps = [maps] if isinstance(maps, torch.Tensor) else maps
    total = sum(scores.flatten(1).mean(1).sum() for scores in maps) / len(maps)
    (gradient,) = torch.autograd.grad(total, fake, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean() / 2
