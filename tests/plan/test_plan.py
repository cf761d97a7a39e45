from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench.config.protocol import TrainingProtocol
from segbench.config.recipe import (
    REFINING,
    Adversarial,
    Benchmark,
    ComponentUse,
    DatasetUse,
    Penalty,
    Refines,
    Tune,
    Tuning,
    UnlabelledTerm,
)
from segbench.errors import DataError, SpecError
from segbench.plan.key import cell_key
from segbench.plan.machine import usable_cores
from segbench.plan.plan import open_plan, plan_benchmark, plan_cells

from .conftest import PACKAGE, Toy, forget, method

SHAPES = DatasetUse(use="toy/shapes", options={"images": 2})


def benchmark(*methods, seeds=(0, 1), datasets=("shapes",)):
    return Benchmark(
        name="test",
        source="bench.yaml",
        datasets=dict.fromkeys(datasets, SHAPES),
        seeds=seeds,
        methods={method.name: method for method in methods},
    )


def build(toy, made, threads=2, **fingerprints):
    return plan_cells(made, toy.registry(), fingerprints or {"shapes": "f" * 32}, threads=threads)


def test_every_dataset_method_and_seed_is_a_cell(toy):
    made = benchmark(method("a"), method("b"), datasets=("shapes", "more"))
    cells = build(toy, made, shapes="f", more="g")
    found = [(cell.dataset_name, cell.seed, cell.method.name) for cell in cells]
    assert found == list(product(["shapes", "more"], [0, 1], ["a", "b"]))
    assert len({cell.key for cell in cells}) == 8
    assert all(cell.subset == "all" and cell.benchmark == "test" for cell in cells)


def test_upstream_cells_come_first_and_have_the_same_dataset_and_seed(toy):
    made = benchmark(method("tuned", start_from="base"), method("base"), datasets=("shapes", "more"))
    cells = build(toy, made, shapes="f", more="g")
    keys = {(cell.dataset_name, cell.seed, cell.method.name): cell.key for cell in cells}
    seen = set()
    for cell in cells:
        seen.add(cell.key)
        if cell.method.name == "tuned":
            assert cell.upstream == {"start_from": keys[cell.dataset_name, cell.seed, "base"]}
            assert cell.upstream["start_from"] in seen
        else:
            assert cell.upstream == {}


def test_a_change_upstream_changes_the_keys_downstream(toy):
    def keys(batch_size):
        base = method("base", protocol=TrainingProtocol(budget={"steps": 10}, batch_size=batch_size))
        cells = build(toy, benchmark(base, method("tuned", start_from="base"), method("free")))
        return {cell.method.name: cell.key for cell in cells if cell.seed == 0}

    before, after = keys(8), keys(4)
    assert before["free"] == after["free"]
    assert before["base"] != after["base"]
    assert before["tuned"] != after["tuned"]


def test_cells_with_the_seed_of_tuning_are_marked(toy):
    tuning = Tuning(seed=9, trials={"a#1": {"protocol.batch_size": 2}})
    tried = method("a#1", trial_of="a", start_from="base")
    made = benchmark(method("base"), method("a", tuning=tuning, start_from="base"), tried)
    cells = build(toy, made.model_copy(update={"tune": Tune(trials=1, seed=9)}))
    marked = {(cell.method.name, cell.seed) for cell in cells if cell.for_tuning}
    assert marked == {("a#1", 9), ("base", 9)}
    assert not any(cell.for_tuning for cell in build(toy, benchmark(method("base"))))


def test_the_trials_of_a_method_are_in_its_key_and_their_settings_only_through_them(toy):
    def keys(settings, batch_size):
        tuning = Tuning(seed=9, trials={"a#1": settings})
        tried = method("a#1", trial_of="a", protocol=TrainingProtocol(budget={"steps": 10}, batch_size=batch_size))
        made = benchmark(method("a", tuning=tuning), tried)
        cells = build(toy, made.model_copy(update={"tune": Tune(trials=1, seed=9)}))
        return {cell.method.name: cell.key for cell in cells if cell.seed in (0, 9)}

    first, same, other = keys({"x": 1}, 2), keys({"x": 2}, 2), keys({"x": 1}, 4)
    assert first == same
    assert first["a#1"] != other["a#1"]
    assert first["a"] != other["a"]


def test_the_key_is_that_of_the_finished_cell(toy):
    for cell in build(toy, benchmark(method("base"), method("tuned", start_from="base"))):
        assert cell.key == cell_key(cell)


def test_threads_are_filled_in_where_the_protocol_states_none(toy):
    made = benchmark(method("a"), method("b", protocol=TrainingProtocol(budget={"steps": 10}, threads=7)), seeds=(0,))
    a, b = build(toy, made, threads=3)
    assert (a.method.protocol.threads, b.method.protocol.threads) == (3, 7)
    assert build(toy, made, threads=4)[0].key != a.key
    assert build(toy, made, threads=4)[1].key == b.key


def test_cells_know_the_code_they_are_made_of(toy):
    (cell,) = build(toy, benchmark(method("a"), seeds=(0,)))
    assert set(cell.sources) == {"generator toy/net", "loss toy/entropy", "dataset toy/shapes"}
    assert set(cell.versions) == {"pydantic", "numpy"}
    assert cell.cache_key is not None


def test_cells_know_the_code_of_every_component_of_an_adversarial_method(toy):
    critic = ComponentUse(use="toy/critic", options={"width": 8})
    made = method(discriminator=critic, adversarial=Adversarial(use="toy/entropy", penalty=Penalty(use="toy/entropy")))
    (cell,) = build(toy, benchmark(made, seeds=(0,)))
    assert set(cell.sources) == {
        "generator toy/net",
        "discriminator toy/critic",
        "loss toy/entropy",
        "dataset toy/shapes",
    }
    assert set(cell.versions) == {"pydantic", "numpy", "rich"}


def test_a_file_that_an_option_of_any_component_names_counts_by_its_content(toy, tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    named = {"options": {"weights": str(weights)}}
    critic = ComponentUse(use="toy/critic")
    term = UnlabelledTerm(loss=ComponentUse(use="toy/entropy", **named))
    for changes in (
        {"discriminator": ComponentUse(use="toy/critic", **named), "adversarial": Adversarial(use="toy/entropy")},
        {"discriminator": critic, "adversarial": Adversarial(use="toy/entropy", **named)},
        {
            "discriminator": critic,
            "adversarial": Adversarial(use="toy/entropy", penalty=Penalty(use="toy/entropy", **named)),
        },
        {"unlabelled": term, "labels": (0.5,)},
        {"protocol": TrainingProtocol(budget={"steps": 10}, features={"use": "resnet18", "weights": str(weights)})},
    ):
        (cell,) = build(toy, benchmark(method(**changes), seeds=(0,)))
        assert cell.files.keys() == {str(weights)}


def test_cells_of_label_fractions_share_the_decoded_data_but_no_key(toy):
    cells = build(toy, benchmark(method("a", labels=(0.125, 1.0)), seeds=(0,)))
    assert [cell.subset for cell in cells] == ["labels 0.125", "all"]
    assert len({cell.cache_key for cell in cells}) == 1
    assert len({cell.key for cell in cells}) == 2


def test_a_refiner_depends_on_its_base_and_on_every_fold(toy):
    made = benchmark(method("base"), method("fine", maps=REFINING, refines=Refines(method="base", folds=2)), seeds=(0,))
    cells = build(toy, made)
    keys = {cell.label: cell.key for cell in cells}
    assert cells[-1].upstream == {
        "refines": keys["shapes / base / seed 0"],
        "refines fold 1/2": keys["shapes / base / fold 1/2 / seed 0"],
        "refines fold 2/2": keys["shapes / base / fold 2/2 / seed 0"],
    }
    assert len(set(keys.values())) == 4


def test_the_number_of_folds_changes_the_key_of_the_refiner_and_of_the_base_only_on_folds(toy):
    def keys(folds):
        fine = method("fine", maps=REFINING, refines=Refines(method="base", folds=folds))
        return {cell.label: cell.key for cell in build(toy, benchmark(method("base"), fine, seeds=(0,)))}

    two, three = keys(2), keys(3)
    assert two["shapes / base / seed 0"] == three["shapes / base / seed 0"]
    assert two["shapes / fine / seed 0"] != three["shapes / fine / seed 0"]


def test_a_change_of_the_plugins_code_changes_key_and_cache_key(toy):
    made = benchmark(method("a"), seeds=(0,))
    (before,) = build(toy, made)
    toy.write("deep/inside.py", "def net(in_channels, num_classes, *, width: int = 16):\n    return 1\n")
    (after,) = build(toy, made)
    assert before.key != after.key
    assert before.cache_key != after.cache_key


def test_cells_of_one_dataset_share_the_cache_key(toy):
    cells = build(toy, benchmark(method("a"), method("b")))
    assert len({cell.cache_key for cell in cells}) == 1


def test_without_data_there_are_no_keys_but_all_cells(toy):
    made = benchmark(method("a"), method("b", start_from="a"), datasets=("shapes", "absent"))
    cells = build(toy, made, shapes="f")
    keys = {name: [cell.key for cell in cells if cell.dataset_name == name] for name in made.datasets}
    assert None not in keys["shapes"]
    assert keys["absent"] == [None] * 4
    assert all(cell.cache_key is None for cell in cells if cell.dataset_name == "absent")


def test_methods_that_wait_for_each_other_are_refused(toy):
    made = benchmark(method("a", start_from="b"), method("b", start_from="a"), seeds=(0,))
    with pytest.raises(SpecError, match=r"bench.yaml: cyclic reference between cells: shapes / [ab] / seed 0 <- "):
        build(toy, made)


def test_a_method_that_starts_from_none_is_refused(toy):
    with pytest.raises(SpecError, match=r"bench.yaml: methods.a.start_from: there is no method 'gone'"):
        build(toy, benchmark(method("a", start_from="gone")))


@pytest.fixture(scope="module")
def lasting_toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    forget(PACKAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield Toy(folder)
    forget(PACKAGE)


@given(tree=st.lists(st.integers(-1, 5), min_size=1, max_size=6), random=st.randoms())
@settings(max_examples=40)
def test_keys_do_not_depend_on_the_order_of_methods_and_seeds(lasting_toy, tree, random):
    # Each number is the earlier method that this one starts from, if there is one.
    methods = [method(str(i), start_from=str(to) if 0 <= to < i else None) for i, to in enumerate(tree)]
    shuffled = random.sample(methods, len(methods))
    plans = [
        build(lasting_toy, benchmark(*methods)),
        build(lasting_toy, benchmark(*shuffled, seeds=(1, 0))),
    ]
    first, second = ({cell.label: cell.key for cell in plan} for plan in plans)
    assert first == second
    seen = set()
    for cell in plans[1]:
        assert set(cell.upstream.values()) <= seen
        seen.add(cell.key)


def test_the_content_of_a_file_that_an_option_names_is_in_the_key(toy, tmp_path):
    weights = tmp_path / "w.safetensors"
    recipe = method(generator=ComponentUse(use="toy/net", options={"weights": str(weights)}))
    keys = set()
    for content in (b"one", b"two", b"three"):
        weights.write_bytes(content)
        (cell,) = build(toy, benchmark(recipe, seeds=(0,)))
        assert cell.files.keys() == {str(weights)}
        keys.add(cell.key)
    assert len(keys) == 3


def test_the_content_of_a_folder_that_an_option_names_is_in_the_key_wherever_it_lies(toy, tmp_path):
    keys = []
    for place, name, content in (("a", "w", b"1"), ("b", "w", b"1"), ("c", "w", b"2"), ("d", "v", b"1")):
        folder = tmp_path / place
        folder.mkdir()
        (folder / name).write_bytes(content)
        recipe = method(generator=ComponentUse(use="toy/net", options={"weights": str(folder)}))
        (cell,) = build(toy, benchmark(recipe, seeds=(0,)))
        assert cell.files.keys() == {str(folder)}
        keys.append(cell.key)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def plan_of(toy, **datasets):
    made = Benchmark(name="t", source="t.yaml", datasets=datasets, seeds=(0,), methods={"net": method()})
    return plan_benchmark(made, toy.registry())


def test_datasets_that_can_be_read_are_opened_and_the_others_say_why_not(toy, tmp_path):
    (tmp_path / "empty").mkdir()
    opened = plan_of(
        toy,
        here=DatasetUse(use="toy/shapes", options={"images": 3}),
        gone=DatasetUse(use="toy/pictures", root=str(tmp_path / "nowhere")),
        broken=DatasetUse(use="toy/pictures", root=str(tmp_path / "empty")),
    )
    assert len(opened.datasets["here"].splits["train"]) == 3
    assert list(opened.missing) == ["gone", "broken"]
    assert "nowhere" in str(opened.missing["gone"])
    assert "picture.png" in str(opened.missing["broken"])
    assert opened.fingerprints.keys() == {"here"}
    assert [cell.key is None for cell in opened.cells] == [False, True, True]
    with pytest.raises(DataError, match="nowhere"):
        opened.check_data()


def test_a_plan_whose_data_can_be_read_passes_the_check(toy):
    plan_of(toy, here=SHAPES).check_data()


def test_cells_know_their_data_by_an_absolute_path_and_the_benchmark_as_it_is_written(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "picture.png").touch()
    opened = plan_of(toy, pictures=DatasetUse(use="toy/pictures", root="data"))
    assert opened.cells[0].dataset.root == str(tmp_path / "data")
    assert opened.benchmark.datasets["pictures"].root == "data"


def test_threads_are_by_default_those_of_the_usable_cores(toy):
    assert plan_of(toy, here=SHAPES).cells[0].method.protocol.threads == usable_cores()


def test_methods_are_tuned_on_a_val_split_only(toy):
    tuned = benchmark(method(tuning=Tuning(seed=9, trials={"net#1": {}})), method("net#1", trial_of="net"))

    def plan_with(*splits):
        use = DatasetUse(use="toy/shapes", options={"splits": splits})
        return plan_benchmark(tuned.model_copy(update={"datasets": {"shapes": use}}), toy.registry())

    assert plan_with("train", "val").fingerprints
    message = r"bench.yaml: datasets.shapes: methods are tuned on val, .* it has train, test\."
    with pytest.raises(SpecError, match=message):
        plan_with("train", "test")


def test_the_fingerprint_follows_the_content(toy):
    three = DatasetUse(use="toy/shapes", options={"images": 3})
    fingerprints = plan_of(toy, two=SHAPES, same=SHAPES, three=three).fingerprints
    assert fingerprints["two"] == fingerprints["same"] != fingerprints["three"]


def test_a_benchmark_is_loaded_opened_and_planned_in_one_call():
    opened = open_plan("shapes-smoke", only=["fcn"], seeds=[3], sets=["protocol.threads=1"])
    assert opened.benchmark.name == "shapes-smoke"
    assert [(cell.method.name, cell.seed) for cell in opened.cells] == [("fcn", 3)]
    assert opened.datasets.keys() == opened.fingerprints.keys()
