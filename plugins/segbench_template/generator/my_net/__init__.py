"""The plugin my-net: what segbench reads when it starts, so nothing heavy is imported here."""

from segbench import Component, hookimpl


def build(in_channels: int, num_classes: int, *, width: int = 24):
    """Build the network; `width` is the number of channels at full resolution."""
    from .network import Network

    return Network(in_channels, num_classes, width)


@hookimpl
def segbench_generators():
    """Yield my-net."""
    yield Component("my-net", build, "Three scales with skips between them", requires=("torch",))
