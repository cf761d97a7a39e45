"""A benchmark file made of recorded cells: whoever runs it runs these cells."""

from __future__ import annotations

from io import StringIO
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from segbench.config.attribution import ATTRIBUTION_KEYS
from segbench.config.benchmark import load_benchmark
from segbench.config.frozen import with_added
from segbench.config.recipe import NOISY_MAPS
from segbench.errors import RecordError
from segbench.plan.key import cell_key
from segbench.plan.plan import plan_cells
from segbench.shown import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from segbench.config.attribution import Attribution
    from segbench.config.protocol import TrainingProtocol
    from segbench.config.recipe import Adversarial, ComponentUse, DatasetUse, Method, WeightedLoss
    from segbench.plan.cell import Cell
    from segbench.registry import Registry


def write_recipe(cells: Sequence[Cell]) -> str:
    """Return the benchmark file of some cells of one benchmark, among them those that they build on.

    The comment on top of the file that they were run from is on top of this one. Placebos and doses are written as
    claims. Raises RecordError for tuned methods, whose search space no record holds, for two recipes of one name, and
    for a placebo or dose without the two methods that it belongs to.
    """
    methods = _by_name(cells)
    common = _common_protocol(list(methods.values()))
    written = {
        name: _method(method, common)
        for name, method in methods.items()
        if not method.placebo_of and not method.dose_of
    }
    content: dict[str, Any] = {
        "name": cells[0].benchmark,
        **_attribution(cells[0].attribution),
        "datasets": {cell.dataset_name: _dataset(cell.dataset) for cell in cells},
        "protocol": _protocol(common),
        "seeds": sorted({cell.seed for cell in cells}),
        "methods": written,
    }
    if claims := _claims(methods):
        content["compare"] = claims
    asked = cells[0].origin.comment if cells[0].origin else ""
    return "".join(f"# {line}\n" for line in wrap(clean_line(asked), 118)) + _to_yaml(content)


def find_strangers(recipe: Path, cells: Iterable[Cell], registry: Registry) -> list[Cell]:
    """Return those of the recorded cells that a benchmark file does not have.

    Data, code and versions of libraries are taken to be those recorded, so that the answer is about the file alone.
    Raises SegbenchError for a file that cannot be read here, such as for want of a plugin.
    """
    benchmark = load_benchmark(str(recipe), registry)
    asked = list(cells)
    strangers = []
    for threads in {cell.method.protocol.threads or 1 for cell in asked}:
        fingerprints = {cell.dataset_name: str(cell.fingerprint) for cell in asked}
        found = {
            (one.dataset_name, one.subset, one.method.name, one.seed): one
            for one in plan_cells(benchmark, registry, fingerprints, threads=threads)
        }
        for cell in asked:
            if (cell.method.protocol.threads or 1) != threads:
                continue
            planned = found.get((cell.dataset_name, cell.subset, cell.method.name, cell.seed))
            recorded = {
                name: getattr(cell, name) for name in ("sources", "versions", "files", "upstream", "fingerprint")
            }
            if planned is None or cell_key(planned.model_copy(update=recorded)) != cell.key:
                strangers.append(cell)
    return strangers


def _by_name(cells: Sequence[Cell]) -> dict[str, Method]:
    methods: dict[str, Method] = {}
    for method in (cell.method for cell in cells if not cell.method.trial_of):
        if method.tuning:
            raise RecordError(
                f"{method.name!r} was tuned, and no record holds its search space; name the benchmark file with "
                "--recipe"
            )
        if _nameless(methods.setdefault(method.name, method)) != _nameless(method):
            raise RecordError(
                f"there are several recipes of {method.name!r} among these cells; choose one, such as "
                f"{method.name}@latest"
            )
    return methods


def _nameless(method: Method) -> Method:
    """Return a method without what may be told later of whose it is."""
    return method.model_copy(update={"attribution": None})


def _common_protocol(methods: Sequence[Method]) -> TrainingProtocol:
    """Return the protocol of the method that overrides least of its benchmark's."""
    own = [method for method in methods if method.protocol.budget.like is None]
    if not own:
        raise RecordError("all of these methods train as long as another one; submit that one too")
    return min(own, key=lambda method: len(method.overrides)).protocol


def _protocol(protocol: TrainingProtocol) -> dict[str, Any]:
    """Return what of a protocol is not as by default; the thread count is part of keys, so it is always there."""
    usual, given = _written(type(protocol)(budget=protocol.budget)), _written(protocol)
    kept = {name: _without_nulls(value) for name, value in given.items() if value != usual[name] or name == "budget"}
    return kept if protocol.timing is not None else {**kept, "timing": "none"}


def _own_protocol(protocol: TrainingProtocol, common: TrainingProtocol) -> dict[str, Any]:
    ours, theirs = _written(protocol), _written(common)
    own = {name: value for name, value in ours.items() if value != theirs[name]}
    if "budget" in own:
        own["budget"] = _without_nulls(own["budget"])
    return {**own, "timing": "none"} if "timing" in own and own["timing"] is None else own


def _written(protocol: TrainingProtocol) -> dict[str, Any]:
    return with_added(type(protocol), protocol.model_dump(mode="json"))


def _dataset(use: DatasetUse) -> Any:
    stated = {
        "redistributable": use.redistributable,
        "folds": use.folds and _without_nulls(use.folds.model_dump(mode="json")),
    }
    return _component(use, **{key: value for key, value in stated.items() if value is not None})


def _component(use: ComponentUse, **more: Any) -> Any:
    entries = {"use": use.use, **more, **use.options} | more
    return use.use if len(entries) == 1 else entries


def _method(method: Method, common: TrainingProtocol) -> dict[str, Any]:
    unlabelled, refines = method.unlabelled, method.refines
    content: dict[str, Any] = {
        **_attribution(method.attribution),
        "generator": _component(method.generator),
        "losses": [_loss(loss) for loss in method.losses] or None,
        "discriminator": method.discriminator and _component(method.discriminator),
        "adversarial": method.adversarial and _adversarial(method.adversarial),
        "latent_channels": method.latent_channels if method.maps in NOISY_MAPS else None,
        "start_from": method.start_from,
        "refines": refines and refines.model_dump(mode="json"),
        "trains_on": method.trains_on and method.trains_on.model_dump(mode="json"),
        "labels": None if method.labels == (1.0,) else {"fraction": list(method.labels)},
        "protocol": _own_protocol(method.protocol, common) or None,
    }
    if unlabelled and unlabelled.loss:
        content["unlabelled"] = _component(unlabelled.loss, weight=unlabelled.weight)
    elif unlabelled:
        content["unlabelled"] = unlabelled.model_dump(mode="json", exclude={"loss"})
    return {name: value for name, value in content.items() if value is not None}


def _loss(loss: WeightedLoss) -> Any:
    weights = {"class_weights": loss.class_weights} if loss.class_weights else {}
    return _component(loss, weight=loss.weight, **weights)


def _adversarial(adversarial: Adversarial) -> dict[str, Any]:
    penalty = adversarial.penalty
    settings = adversarial.model_dump(mode="json", exclude={"use", "options", "penalty"})
    settings["encoding"] = adversarial.encoding.model_dump(mode="json", exclude_defaults=True) | {
        "use": adversarial.encoding.use
    }
    if penalty:
        settings["penalty"] = _component(penalty, weight=penalty.weight, every=penalty.every)
    return {"use": adversarial.use, **_without_nulls(settings), **adversarial.options}


def _claims(methods: dict[str, Method]) -> list[dict[str, Any]]:
    """Return the claims that make the placebos and doses, and those of methods beside their twins."""
    claims: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for method in methods.values():
        made_of, adversarial = method.placebo_of or method.dose_of, method.adversarial
        twin = methods.get(method.twin or "")
        if not made_of and twin and set(method.labels) & set(twin.labels):  # else they cannot be compared
            claims.setdefault((method.name, twin.name), {})
        if not made_of:
            continue
        if made_of not in methods or method.twin not in methods or adversarial is None:
            what = "the placebo of" if method.placebo_of else "at a dose what is"
            raise RecordError(
                f"{method.name!r} is {what} {made_of!r} against {method.twin!r}; submit both of these too"
            )
        parts = claims.setdefault((methods[made_of].dose_of or made_of, method.twin), {})
        value = adversarial.placebo if method.placebo_of else adversarial.ratio or adversarial.weight
        listed = parts.setdefault("placebo" if method.placebo_of else "dose", [])
        listed += [value] if value not in listed else []
    return [{"claim": claim, "against": against, **parts} for (claim, against), parts in claims.items()]


def _attribution(attribution: Attribution | None) -> dict[str, Any]:
    found = attribution.model_dump(mode="json") if attribution else {}
    return {name: found[name] for name in ATTRIBUTION_KEYS if found.get(name)}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return value


def _to_yaml(content: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.allow_unicode, writer.width = True, 120
    text = StringIO()
    writer.dump(content, text)
    return text.getvalue()
