"""The plugin my-loss: what segbench reads when it starts, so nothing heavy is imported here."""

from segbench import Component, hookimpl


def build(*, smoothing: float = 0.1):
    """Build the losses of both players; `smoothing` is what the discriminator's target for reals lacks to 1."""
    from .loss import SmoothedGame

    return SmoothedGame(smoothing)


@hookimpl
def segbench_losses():
    """Yield my-loss."""
    description = "Non-saturating loss with one-sided label smoothing (Salimans 2016)"
    yield Component("my-loss", build, description, role="adversarial", requires=("torch",))
