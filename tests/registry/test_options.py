from __future__ import annotations

import functools
import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator

from segbench import Component
from segbench.errors import ComponentError, OptionError, PluginError, SegbenchError
from segbench.registry import Offer
from segbench.registry.options import build, coerce_options, read_docstrings


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


def build_many(
    num_classes,
    ignore_index=255,
    *,
    width: int = 32,
    rate: float = 1e-3,
    mode: Literal["a", "b"] = "a",
    file: Path | None = None,
    size: tuple[int, int] = (4, 5),
    names: set[str] = frozenset({"b", "a"}),
    speed: Mode = Mode.FAST,
):
    return {**locals()}


def build_required(num_classes, *, width: int):
    return width


MANY = Offer("loss", "mine", "my-dist", "1.0", Component("many", build_many, "Has many options"))
REQUIRED = Offer("loss", "mine", "my-dist", "1.0", Component("required", build_required, "Has a required option"))


def test_options_are_listed_with_type_and_default():
    listed = [(option.name, option.type, option.default, option.required) for option in MANY.signature.options]
    assert listed[0] == ("width", "int", 32, False)
    assert listed[2] == ("mode", "Literal['a', 'b']", "a", False)
    assert [name for name, *_ in listed] == ["width", "rate", "mode", "file", "size", "names", "speed"]
    assert [(option.name, option.required) for option in REQUIRED.signature.options] == [("width", True)]


def test_options_are_filled_in_and_ready_for_json():
    options = coerce_options(MANY, {"rate": "1e-2", "file": "x/y.png", "size": [1, 2], "speed": "slow"})
    assert options == {
        "width": 32,
        "rate": 0.01,
        "mode": "a",
        "file": "x/y.png",
        "size": [1, 2],
        "names": ["a", "b"],
        "speed": "slow",
    }
    json.dumps(options)


@settings(deadline=None)
@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.sets(st.text()))
def test_coerced_options_stay_the_same_when_coerced_again(width, rate, names):
    once = coerce_options(MANY, {"width": width, "rate": rate, "names": names})
    assert coerce_options(MANY, json.loads(json.dumps(once))) == once


def test_build_gets_what_it_asks_for_and_options_in_the_types_it_states():
    options = coerce_options(MANY, {"file": "x.png"})
    built = build(MANY, {"num_classes": 3, "ignore_index": 9, "size": (8, 8)}, options)
    assert (built["num_classes"], built["ignore_index"], built["size"]) == (3, 9, (4, 5))
    assert built["file"] == Path("x.png")
    assert built["names"] == {"a", "b"}
    assert built["speed"] is Mode.FAST


def test_what_build_asks_for_with_a_default_may_be_lacking():
    assert build(MANY, {"num_classes": 3}, {})["ignore_index"] == 255


def test_what_build_cannot_do_without_is_named():
    with pytest.raises(PluginError, match="mine/many asks for num_classes"):
        build(MANY, {}, {})


def test_an_unknown_option_lists_the_allowed_ones_and_the_nearest():
    with pytest.raises(OptionError) as caught:
        coerce_options(MANY, {"widht": 3})
    assert "loss mine/many has no option 'widht'. Did you mean 'width'? Available: width, rate, mode" in str(
        caught.value
    )
    assert caught.value.option == "widht"


@pytest.mark.parametrize(
    ("given_options", "expected"),
    [
        ({"width": "wide"}, ["option 'width' of loss mine/many must be int, but 'wide' was given", "valid integer"]),
        ({"width": 1.5}, ["must be int, but 1.5 was given"]),
        ({"width": True}, ["must be int, but True was given"]),
        ({"rate": False}, ["must be float, but False was given"]),
        ({"mode": "c"}, ["option 'mode' of loss mine/many: unknown value 'c'. Available: a, b."]),
        ({"size": [1]}, ["must be tuple[int, int], but [1] was given"]),
        ({"rate": float("nan")}, ["must be finite"]),
        ({"rate": "inf"}, ["must be finite"]),
    ],
)
def test_a_wrong_value_is_reported_with_what_is_expected(given_options, expected):
    with pytest.raises(OptionError) as caught:
        coerce_options(MANY, given_options)
    for text in expected:
        assert text in str(caught.value)
    assert [caught.value.option] == list(given_options)


def refuse_odd(number: int) -> int:
    if number % 2:
        raise (SegbenchError if number > 0 else ValueError)(f"{number} is odd; give an even number")
    return number


def test_a_check_in_the_type_of_an_option_is_made_and_its_message_kept():
    def even(*, number: Annotated[int, AfterValidator(refuse_odd)] = 2):
        return number

    offer = Offer("loss", "mine", "my-dist", "1.0", Component("even", even, "Even"))
    assert coerce_options(offer, {"number": 4}) == {"number": 4}
    assert offer.signature.options[0].type == "int"
    for odd in (3, -3):
        with pytest.raises(OptionError, match=f"^option 'number' of loss mine/even: {odd} is odd; give an") as caught:
            coerce_options(offer, {"number": odd})
        assert caught.value.option == "number"


def test_a_missing_required_option_is_named_with_its_type():
    message = "'width' of loss mine/required is missing; it is required and of type int"
    with pytest.raises(OptionError, match=message) as caught:
        coerce_options(REQUIRED, {})
    assert caught.value.option == "width"


def test_a_default_of_a_wrong_type_is_the_plugins_fault(offer):
    def build_wrong(*, width: int = None): ...  # noqa: RUF013

    with pytest.raises(PluginError, match=r"its default is None.*a bug in my-dist; please report it"):
        coerce_options(offer("loss", build_wrong), {})


def test_a_type_that_no_file_can_hold_is_the_plugins_fault(offer):
    def build_wrong(*, component: Installer = None): ...

    with pytest.raises(PluginError, match="has the type Installer, which cannot be written"):
        coerce_options(offer("loss", build_wrong), {})


class Installer:
    """No type that pydantic knows."""


def test_an_option_may_have_any_name_that_is_not_reserved(offer):
    def build_names(*, copy: int = 1, schema: str = "x", model_name: str = "y", _private: int = 0):
        return copy, schema, model_name, _private

    made = offer("loss", build_names)
    assert coerce_options(made, {"schema": "z"}) == {"copy": 1, "schema": "z", "model_name": "y", "_private": 0}
    assert build(made, {}, {"copy": 2}) == (2, "x", "y", 0)


def test_build_may_be_a_class_or_a_function_with_some_arguments_filled_in(offer):
    class Thing:
        def __init__(self, num_classes, *, width: int = 1) -> None:
            self.size = num_classes * width

    assert build(offer("loss", Thing), {"num_classes": 3}, {"width": "2"}).size == 6
    filled = functools.partial(lambda name, num_classes: (name, num_classes), "unet")
    assert build(offer("loss", filled), {"num_classes": 3}, {}) == ("unet", 3)


def test_an_error_that_build_raises_itself_passes_through(offer):
    def build_raises(num_classes):
        raise ZeroDivisionError("by the plugin")

    with pytest.raises(ZeroDivisionError, match="by the plugin"):
        build(offer("loss", build_raises), {"num_classes": 3}, {})


@pytest.mark.parametrize(
    ("extra", "command"), [("heavy", "pip install 'my-dist[heavy]'"), (None, "pip install no-such-library")]
)
def test_a_missing_library_is_reported_with_the_command_that_installs_it(offer, extra, command):
    made = offer("loss", lambda num_classes: None, requires=("pydantic", "no-such-library"), extra=extra)
    with pytest.raises(ComponentError) as caught:
        build(made, {"num_classes": 3}, {})
    assert "needs no-such-library, not installed here" in str(caught.value)
    assert str(caught.value).endswith(command)


def test_a_build_that_calls_sys_exit_is_an_error_of_its_plugin(offer):
    def build_data(num_classes):
        sys.exit(0)

    with pytest.raises(PluginError, match=r"loss mine/thing: its build called sys.exit\(0\)"):
        build(offer("loss", build_data), {"num_classes": 2}, {})


def test_docstrings_are_those_of_build_its_module_and_its_packages():
    import json.decoder

    texts = read_docstrings(functools.partial(json.decoder.JSONDecoder, strict=True))
    assert [text.splitlines()[0] for text in texts] == [
        "Simple JSON <https://json.org> decoder",
        "Implementation of JSONDecoder",
        "JSON (JavaScript Object Notation) <https://json.org> is a subset of",
    ]
