"""The plugin my-loss: what segbench reads when it starts, so nothing heavy is imported here."""

from segbench import Component, hookimpl


def build():
    """Build the penalty."""
    from .loss import penalty

    return penalty


@hookimpl
def segbench_losses():
    """Yield my-loss."""
    yield Component("my-loss", build, "R2 penalty (Mescheder 2018)", role="penalty", requires=("torch",))
