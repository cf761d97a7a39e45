"""The checks as cases of pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .check import CheckSkipped, perform
from .select import find_offer, selected_checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from segbench.contracts import Kind
    from segbench.registry import Offer

    from .check import Check


def parametrize_with_checks(kind: Kind, name: str, *, slow: bool = False) -> Any:
    """Return a decorator that makes one case of pytest of every check of an installed component.

    The test function takes the argument `check` and calls it. What the component lists in `known_failures` is expected
    to fail, with its reason; what does not apply is skipped, with its reason. Slow checks are left out unless `slow`.
    Raises ComponentError for a kind or a component that there is not.

        @parametrize_with_checks("generator", "my-net")
        def test_my_net_keeps_to_the_contract(check):
            check()
    """
    import pytest

    offer = find_offer(kind, name)
    return pytest.mark.parametrize("check", [_case(check, offer) for check in selected_checks(offer, slow=slow)])


def _case(check: Check, offer: Offer) -> Any:
    import pytest

    reason = offer.component.known_failures.get(check.name)
    marks = () if reason is None else (pytest.mark.xfail(reason=reason, strict=True),)
    return pytest.param(_run_of(check, offer), id=check.name, marks=marks)


def _run_of(check: Check, offer: Offer) -> Callable[[], None]:
    """Return the check as something to call: it raises what the component raises, with the cure as a note."""

    def run() -> None:
        import pytest

        try:
            perform(check, offer)
        except CheckSkipped as reason:
            pytest.skip(str(reason))
        except Exception as error:
            if not check.required:
                pytest.xfail(f"not required, but: {error}")
            error.add_note(f"Cure: {check.cure}")
            raise

    return run
