"""The plugin my-loss: what segbench reads when it starts, so nothing heavy is imported here."""

from segbench import Component, hookimpl


def build():
    """Build the term."""
    from .loss import entropy

    return entropy


@hookimpl
def segbench_losses():
    """Yield my-loss."""
    description = "Entropy of predictions (Grandvalet and Bengio 2004)"
    yield Component("my-loss", build, description, role="unlabelled", requires=("torch",))
