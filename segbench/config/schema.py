"""The form of benchmark files as a JSON Schema, by which editors complete and check them.

It is made of what reads the files: the value objects of this package and the options of the components that are
installed. What depends on other parts of a file, such as the names of methods, the reader alone checks.
"""

from __future__ import annotations

from inspect import getdoc
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from segbench.errors import PluginError
from segbench.registry.option_schema import find_description, option_schemas

from .attribution import Attribution
from .benchmark import BENCHMARK_KEYS, NEEDED_KEYS
from .components import ADVERSARIAL_KEYS, DATASET_KEYS, PENALTY_KEYS, PSEUDO_LABEL_KEYS, takes_class_weights
from .draft7 import or_null, referenced, to_draft_7
from .inheritance import METHOD_KEYS
from .protocol import TrainingProtocol
from .recipe import (
    FORMER_KEYS,
    LARGEST_SEED,
    Adversarial,
    Benchmark,
    Claim,
    DatasetUse,
    Method,
    Penalty,
    Tune,
    UnlabelledTerm,
    WeightedLoss,
)
from .validation import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core.core_schema import ModelSchema

    from segbench.contract import Kind
    from segbench.registry import Offer, Registry

Schema = dict[str, Any]

_DEFINITIONS = "#/definitions/"
_TEXT: Schema = {"type": "string"}
_VALUE_OBJECTS = (
    *(TrainingProtocol, Method, WeightedLoss, Penalty, DatasetUse, Adversarial),
    *(UnlabelledTerm, Claim, Tune, Attribution),
)
# What a method that extends another one may give in part.
_MERGED = ("TrainingProtocol", "Window", "Refines", "TrainsOn")
_FRACTION: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
_LABELS: Schema = {
    "type": "object",
    "properties": {
        "fraction": {
            "anyOf": [_FRACTION, {"type": "array", "items": _FRACTION, "minItems": 1}],
            "description": "A share of the labels, or several.",
        }
    },
    "required": ["fraction"],
    "additionalProperties": False,
}
_SEEDS: Schema = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED},
    "minItems": 1,
    "uniqueItems": True,
}
_SEARCH_SPACE: Schema = {
    "type": "object",
    "propertyNames": {"pattern": rf"^({'|'.join(METHOD_KEYS)})(\.|$)"},
    "additionalProperties": {"type": ["array", "object", "null"]},
}
# A mapping under a component's key must name the component, unless it changes one that is inherited.
_NAMES_ITS_COMPONENT: Schema = {"if": {"type": "object"}, "then": {"required": ["use"]}}
_IS_WHOLE: Schema = {
    "required": ["generator"],
    "properties": dict.fromkeys(("generator", "discriminator", "adversarial"), _NAMES_ITS_COMPONENT),
}


class _DescribedKeys(GenerateJsonSchema):
    """Takes the description of a key from the docstring of its value object."""

    def model_schema(self, schema: ModelSchema) -> Schema:
        made = super().model_schema(schema)
        _, *_, mapping = made.get("anyOf", [made, made])
        _describe(mapping["properties"], schema["cls"])
        return made


def _describe(properties: Schema, documented: type) -> Schema:
    for name, form in properties.items():
        if "description" not in form and (said := find_description(name, [getdoc(documented) or ""])):
            form["description"] = said
    return properties


def benchmark_schema(registry: Registry) -> tuple[Schema, list[str]]:
    """Return the JSON Schema (draft 7) of benchmark files for the components of a registry.

    With it comes what is not in it and why: plugins that are broken, components whose signature breaks the contract.
    """
    maker = _Maker(registry)
    schema = maker.benchmark()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Benchmark file of segbench",
        **schema,
        "definitions": referenced(schema, maker.definitions),
    }, maker.problems


class _Role(NamedTuple):
    """What may stand where a component is used: components of a kind, of losses those of a role, and other keys.

    `alone` are the keys of a mapping that uses no component.
    """

    kind: Kind
    keys: Schema
    role: str | None = None
    alone: Schema | None = None


class _Maker:
    """Makes the forms of the parts of a file, and collects the definitions that they refer to, and problems."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems = [str(problem) for problem in registry.problems]
        _, made = models_json_schema(
            [(model, "validation") for model in _VALUE_OBJECTS],
            ref_template=_DEFINITIONS + "{model}",
            schema_generator=_DescribedKeys,
        )
        self.definitions: Schema = {name: to_draft_7(form) for name, form in made["$defs"].items()}
        for name in _MERGED:
            _mapping_of(self.definitions[name]).pop("required", None)
        self.definitions["Claim"]["required"].remove("against")  # it may be the method that the claimed one extends

    def benchmark(self) -> Schema:
        protocol = {"allOf": [_refer("TrainingProtocol"), {"required": ["budget"]}]}
        forms: Schema = {
            "name": {**_TEXT, "pattern": _NAME},
            "datasets": _named(self.dataset()),
            "protocol": protocol,
            "seeds": _SEEDS,
            "methods": _named(self.method()),
            "compare": {"type": "array", "items": _refer("Claim")},
            "tune": _refer("Tune"),
            **self.definitions["Attribution"]["properties"],
        }
        properties = {key: forms[key] if key in NEEDED_KEYS else or_null(forms[key]) for key in BENCHMARK_KEYS}
        return {
            "type": "object",
            "properties": _describe(properties, Benchmark),
            "required": [*NEEDED_KEYS],
            "additionalProperties": False,
        }

    def method(self) -> Schema:
        own = self.definitions["Method"]["properties"]
        forms: Schema = {
            "generator": self.component(_Role("generator", {})),
            "losses": {"type": "array", "items": self.loss(), "minItems": 1},
            "discriminator": self.component(_Role("discriminator", {})),
            "adversarial": self.adversarial(),
            "protocol": _refer("TrainingProtocol"),
            "extends": _TEXT,
            "labels": _LABELS,
            "unlabelled": self.unlabelled(),
            "tune": _SEARCH_SPACE,
            **{key: own[key] for key in ("latent_channels", "start_from", "refines", "trains_on")},
            **self.definitions["Attribution"]["properties"],
        }
        properties = _describe({key: dict(or_null(forms[key])) for key in METHOD_KEYS}, Method)
        former = {name: {**properties[key], "description": f"Now {key}."} for key, name in FORMER_KEYS.items()}
        return {**_mapping({**properties, **former}), "if": {"required": ["extends"]}, "else": _IS_WHOLE}

    def dataset(self) -> Schema:
        role = _Role("dataset", self.keys("DatasetUse", DATASET_KEYS))
        return {**self.component(role), **_NAMES_ITS_COMPONENT}

    def loss(self) -> Schema:
        role = _Role("loss", self.keys("WeightedLoss", ("weight",)), "supervised")
        return {**self.component(role), **_NAMES_ITS_COMPONENT}

    def adversarial(self) -> Schema:
        penalty = self.component(_Role("loss", self.keys("Penalty", PENALTY_KEYS), "penalty"))
        keys = self.keys("Adversarial", ADVERSARIAL_KEYS)
        keys["penalty"] = or_null({**keys["penalty"], "anyOf": penalty["anyOf"]})
        return self.component(_Role("loss", keys, "adversarial"))

    def unlabelled(self) -> Schema:
        alone = self.keys("UnlabelledTerm", PSEUDO_LABEL_KEYS)
        return self.component(_Role("loss", {"weight": alone["weight"]}, "unlabelled", alone))

    def keys(self, value_object: str, names: Sequence[str]) -> Schema:
        properties = self.definitions[value_object]["properties"]
        return {name: properties[name] for name in names}

    def component(self, role: _Role) -> Schema:
        """Return the form of a component's name, or of a mapping with `use`, its options and further keys."""
        options = self.options(role)
        offers = [offer for offer in self.registry.offers(role.kind) if offer.full_name in options]
        summaries = {name: offer.component.summary for offer in offers for name in self.names(offer)}
        name = {
            "enum": sorted(summaries, key=lambda one: ("/" not in one, one)),
            "description": f"The name of a {role.role or ''} {role.kind}.".replace("  ", " "),
        }
        name["enumDescriptions"] = [summaries[one] for one in name["enum"]]
        keys = {"use": name, **role.keys, **(role.alone or {})}
        known = {*keys, *(option for own in options.values() for option in own)}
        chosen = [
            {
                "if": {"properties": {"use": {"enum": self.names(offer)}}, "required": ["use"]},
                "then": _mapping({**{key: {} for key in ("use", *role.keys)}, **options[offer.full_name]}),
            }
            for offer in offers
        ]
        added = {"if": {"not": {"required": ["use"]}}, "then": {"propertyNames": {"enum": sorted(known)}}}
        return {"anyOf": [name, {"type": "object", "properties": keys, "allOf": [*chosen, added]}]}

    def names(self, offer: Offer) -> list[str]:
        """Return the full name of a component, and its short one if no other of its kind has that."""
        short = offer.component.name
        others = [one.component.name for one in self.registry.offers(offer.kind)]
        return [offer.full_name, *([short] if others.count(short) == 1 else [])]

    def options(self, role: _Role) -> dict[str, Schema]:
        """Return the options of the components that a role may have, by full name; tells of those without."""
        found: dict[str, Schema] = {}
        for offer in self.registry.offers(role.kind):
            if role.role not in (None, offer.component.role):
                continue
            try:
                found[offer.full_name] = self.options_of(offer)
            except PluginError as error:
                self.problems.append(f"{offer.kind} {offer.full_name} is left out: {error}")
        return found

    def options_of(self, offer: Offer) -> Schema:
        prefix = f"{offer.kind}.{offer.full_name}".replace("/", ".")
        found: Schema = {}
        for name, form in option_schemas(offer, f"{_DEFINITIONS}{prefix}.{{model}}").items():
            made = to_draft_7(form.pop("$defs", {}))
            self.definitions |= {f"{prefix}.{model}": to_draft_7(inner) for model, inner in made.items()}
            found[name] = or_null(to_draft_7(form))
        if offer.component.role == "supervised" and takes_class_weights(offer):
            by_name = self.definitions["WeightedLoss"]["properties"]["class_weights"]
            numbers = found["class_weights"]
            found["class_weights"] = {"anyOf": [numbers, by_name], "description": numbers.get("description", "")}
        return found


_NAME = f"^{NAME.pattern}$"


def _refer(definition: str) -> Schema:
    return {"$ref": _DEFINITIONS + definition}


def _mapping(properties: Mapping[str, Any]) -> Schema:
    return {"type": "object", "properties": {**properties}, "additionalProperties": False}


def _named(form: Schema) -> Schema:
    """Return the form of a mapping whose author names its entries."""
    return {"type": "object", "propertyNames": {"pattern": _NAME}, "additionalProperties": form, "minProperties": 1}


def _mapping_of(form: Schema) -> Schema:
    """Return the form of a value object as a mapping, also of one that may be written as a bare value."""
    *_, mapping = form.get("anyOf", [form])
    found: Schema = mapping
    return found
