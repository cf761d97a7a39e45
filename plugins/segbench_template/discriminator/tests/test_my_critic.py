"""segbench's checks of my-critic, each a test of its own: pip install -e '.[test]' && pytest."""

from segbench.testing import parametrize_with_checks


@parametrize_with_checks("discriminator", "my-critic")
def test_my_critic_keeps_to_the_contract(check):
    """The component does what segbench relies on."""
    check()
