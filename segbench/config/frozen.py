"""Value objects of benchmark files, and fields that were added to one after records of it were in use."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

if TYPE_CHECKING:
    from collections.abc import Mapping

Share = Annotated[float, Field(ge=0, le=1)]


class Frozen(BaseModel):
    """A value object: no unknown keys, no changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def may_be_bare(key: str) -> ConfigDict:
    """Return the configuration of a value object that may also be written as the bare value of one of its keys."""

    def allow_bare(schema: dict[str, Any]) -> None:
        mapping = dict(schema)
        schema.clear()
        schema["anyOf"] = [mapping["properties"][key], mapping]

    return ConfigDict(json_schema_extra=allow_bare)


# Lets a tuple of texts be written as a single one.
ONE_OR_SEVERAL = BeforeValidator(
    lambda value: (value,) if isinstance(value, str) else value, json_schema_input_type=str | tuple[str, ...]
)


class Shorthand(Frozen):
    """A value object that may be written as the bare name of what it uses: `poly` for `{use: poly}`."""

    model_config = may_be_bare("use")

    @model_validator(mode="before")
    @classmethod
    def expand(cls, value: Any) -> Any:
        """Turn a bare name into a mapping."""
        return {"use": value} if isinstance(value, str) else value

    def refuse_settings_of_others(self, used: str, **owners: str) -> None:
        """Raise ValueError for a setting, by name, that is given though what is used is not the one that has it."""
        for setting, owner in owners.items():
            if used != owner and getattr(self, setting) != type(self).model_fields[setting].default:
                raise ValueError(f"{used} has no {setting}")


def added(default: Any, **constraints: Any) -> Any:
    """Return a field that was added to a value object which keys and records hold: at its default it leaves no trace.

    So a new key of benchmark files changes neither the key of a cell that does without it nor what records say.
    """
    return Field(default, exclude_if=lambda value: value == default, **constraints)


def with_added(model: type[BaseModel], dumped: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value object's dump as JSON, perhaps an old one, with the defaults of the fields that left no trace."""
    return _lay_over(defaults_of_added(model), dumped)


@cache
def defaults_of_added(model: type[BaseModel]) -> dict[str, Any]:
    """Return the defaults of added fields as JSON has them, those of inner value objects below their fields."""
    defaults: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if field.exclude_if is not None:
            defaults[name] = TypeAdapter(Any).dump_python(field.default, mode="json")
            continue
        form = field.annotation
        if isinstance(form, type) and issubclass(form, BaseModel) and (inner := defaults_of_added(form)):
            defaults[name] = inner
    return defaults


def _lay_over(defaults: Mapping[str, Any], dumped: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(dumped)
    for name, default in defaults.items():
        if not isinstance(default, dict):
            filled.setdefault(name, default)
        elif isinstance(dumped.get(name), dict):
            filled[name] = _lay_over(default, dumped[name])
    return filled
