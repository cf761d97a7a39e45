"""The plugin my-critic: what segbench reads when it starts, so nothing heavy is imported here."""

from segbench import Component, hookimpl


def build(in_channels: int, *, width: int = 32):
    """Build the critic; `width` is the number of channels of its first layer."""
    from .network import Critic

    return Critic(in_channels, width)


@hookimpl
def segbench_discriminators():
    """Yield my-critic."""
    yield Component("my-critic", build, "Three strided convolutions", requires=("torch",))
