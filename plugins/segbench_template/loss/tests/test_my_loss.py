"""segbench's checks of my-loss, each a test of its own: pip install -e '.[test]' && pytest."""

from segbench.testing import parametrize_with_checks


@parametrize_with_checks("loss", "my-loss")
def test_my_loss_keeps_to_the_contract(check):
    """The component does what segbench relies on."""
    check()
