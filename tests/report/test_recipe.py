from __future__ import annotations

import pytest

from segbench.config.attribution import Attribution
from segbench.config.benchmark import load_benchmark, packaged_benchmarks
from segbench.config.recipe import DatasetUse
from segbench.errors import RecordError, SpecError
from segbench.plan.key import cell_key
from segbench.plan.plan import plan_cells
from segbench.registry import load_registry
from segbench.report.recipe import find_strangers, write_recipe


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture(scope="module")
def planned(registry):
    """Return the cells of a packaged benchmark, of methods if they are named, whatever the data."""

    def planned(name, *methods):
        try:
            benchmark = load_benchmark(name, registry, only=methods)
        except SpecError as error:  # of a library that is not everywhere
            pytest.skip(str(error))
        return plan_cells(benchmark, registry, dict.fromkeys(benchmark.datasets, "f" * 32), threads=3)

    return planned


@pytest.mark.parametrize("name", [name for name in packaged_benchmarks() if name != "adversarial-fair"])
def test_the_benchmark_file_of_recorded_cells_has_these_cells(planned, registry, tmp_path, name):
    cells = planned(name)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(write_recipe(cells))
    assert find_strangers(recipe, cells, registry) == []
    again = load_benchmark(str(recipe), registry)
    assert again.origin.comment == cells[0].origin.comment
    assert {name: (method.placebo_of, method.maps) for name, method in again.methods.items()} == {
        cell.method.name: (cell.method.placebo_of, cell.method.maps) for cell in cells
    }


def test_a_benchmark_file_of_other_settings_does_not_have_them(planned, registry, tmp_path):
    cells = planned("quickstart", "plain")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(write_recipe(cells).replace("steps: 100", "steps: 101"))
    assert find_strangers(recipe, cells, registry) == list(cells)


def test_keys_that_leave_no_trace_at_their_default_are_written_where_methods_differ(registry, tmp_path):
    file, sets = tmp_path / "file.yaml", ["protocol.resize.factor=0.5", "methods.b.protocol.resize=null"]
    methods = "{a: {generator: basic/fcn, losses: [losses/cross_entropy]}, b: {extends: a}}"
    file.write_text(
        f"name: x\ndatasets: {{s: data/shapes}}\nprotocol: {{budget: {{steps: 1}}}}\nseeds: [0]\nmethods: {methods}\n"
    )
    for written in (sets, sets[:1], ["methods.b.protocol.resize.factor=0.5"]):
        cells = plan_cells(load_benchmark(str(file), registry, sets=written), registry, {"s": "f" * 32}, threads=3)
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(write_recipe(cells))
        assert find_strangers(recipe, cells, registry) == []


def test_other_code_than_the_recorded_one_is_no_matter_of_the_file(planned, registry, tmp_path):
    cells = [cell.model_copy(update={"sources": {"generator basic/fcn": "0" * 16}}) for cell in planned("shapes-smoke")]
    cells = [cell.model_copy(update={"key": cell_key(cell)}) for cell in cells]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(write_recipe(cells))
    assert find_strangers(recipe, cells, registry) == []


def test_whose_it_is_stands_in_the_file(planned, registry, tmp_path):
    (cell, *_) = planned("quickstart", "plain")
    own = Attribution(authors=("Ada",), paper="10.1000/182")
    method = cell.method.model_copy(update={"attribution": own})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        write_recipe([cell.model_copy(update={"method": method, "attribution": Attribution(licence="MIT")})])
    )
    again = load_benchmark(str(recipe), registry)
    assert (again.attribution, again.methods["plain"].attribution) == (Attribution(licence="MIT"), own)


def test_whether_images_may_be_passed_on_stands_in_the_file(planned, registry, tmp_path):
    (cell, *_) = planned("quickstart", "plain")
    kept = cell.dataset.model_copy(update={"redistributable": False})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(write_recipe([cell.model_copy(update={"dataset": kept})]))
    assert load_benchmark(str(recipe), registry).datasets["nuclei"].redistributable is False


def test_folds_stand_in_the_file(planned, registry, tmp_path):
    (cell, *_) = planned("quickstart", "plain")
    recipe = tmp_path / "recipe.yaml"
    for folds in ({"count": 5}, {"count": 5, "pool": ["train", "val"], "val": True}):
        divided = DatasetUse.model_validate({**cell.dataset.model_dump(), "folds": folds})
        tested = cell.model_copy(update={"dataset": divided, "subset": "test fold 3/5"})
        tested = tested.model_copy(update={"key": cell_key(tested)})
        recipe.write_text(write_recipe([tested]))
        assert find_strangers(recipe, [tested], registry) == []


def test_class_weights_by_name_stand_in_the_file(planned, registry, tmp_path):
    (cell, *_) = planned("quickstart", "plain")
    losses = tuple(loss.model_copy(update={"class_weights": "median_frequency"}) for loss in cell.method.losses)
    weighed = cell.model_copy(update={"method": cell.method.model_copy(update={"losses": losses})})
    weighed = weighed.model_copy(update={"key": cell_key(weighed)})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(write_recipe([weighed]))
    assert find_strangers(recipe, [weighed], registry) == []


DOSES = """
name: doses
datasets: {shapes: {use: data/shapes}}
protocol: {budget: {steps: 2}}
seeds: [0]
methods:
  base: {generator: basic/fcn, losses: [losses/cross_entropy]}
  critic: {extends: base, discriminator: gan/patchgan, adversarial: {use: gan/hinge, weight: {ratio: 0.1}}}
  fixed: {extends: critic, adversarial: {weight: 0.05}}
  own: {extends: critic, adversarial: {weight: {like: critic}, placebo: shuffled}}
compare:
  - {claim: critic, against: base, placebo: [frozen, noise], dose: [0.1, 0.3]}
  - {claim: fixed, against: base, dose: [0.5, 1]}
"""


def test_doses_and_weights_that_are_taken_over_stand_in_the_file(planned, registry, tmp_path):
    (asked := tmp_path / "asked.yaml").write_text(DOSES)
    cells = planned(str(asked))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(write_recipe(cells))
    assert find_strangers(recipe, cells, registry) == []
    again = load_benchmark(str(recipe), registry)
    assert set(again.methods) == {cell.method.name for cell in cells}
    assert {name: method.dose_of for name, method in again.methods.items() if method.dose_of} == {
        "critic@0.3": "critic",
        "fixed@0.5": "fixed",
        "fixed@1.0": "fixed",
    }


def test_a_dose_needs_the_method_that_it_is_of(planned, tmp_path):
    (asked := tmp_path / "asked.yaml").write_text(DOSES)
    cells = [cell for cell in planned(str(asked)) if cell.method.name == "fixed@0.5"]
    with pytest.raises(RecordError, match=r"'fixed@0\.5' is at a dose what is 'fixed' against 'base'; submit"):
        write_recipe(cells)


def test_a_search_space_is_in_no_record(planned):
    with pytest.raises(RecordError, match="was tuned, and no record holds its search space"):
        write_recipe(planned("adversarial-fair"))


def test_a_placebo_needs_the_methods_that_it_belongs_to(planned):
    cells = [cell for cell in planned("quickstart") if cell.method.placebo_of]
    with pytest.raises(RecordError, match="is the placebo of 'unet\\+critic' against 'unet'; submit both of these too"):
        write_recipe(cells)


def test_one_name_stands_for_one_recipe(planned):
    (cell, *_) = planned("quickstart", "plain")
    other = cell.method.model_copy(update={"protocol": cell.method.protocol.model_copy(update={"batch_size": 9})})
    with pytest.raises(RecordError, match="there are several recipes of 'plain' among these cells"):
        write_recipe([cell, cell.model_copy(update={"method": other})])
