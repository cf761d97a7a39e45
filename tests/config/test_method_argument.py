from __future__ import annotations

import pytest

from segbench.config.method_argument import label_arguments, read_method_argument
from segbench.config.protocol import Budget, TrainingProtocol
from segbench.errors import SpecError
from segbench.registry import load_registry

PROTOCOL = TrainingProtocol(budget=Budget(steps=1))

BENCHMARK = """\
name: own
datasets: {shapes: {use: data/shapes}}
protocol: {budget: {steps: 1}, compile: true, tf32: true}
seeds: [0]
methods:
  plain: {generator: {use: basic/fcn, width: 4}, losses: [losses/cross_entropy], protocol: {tf32: false}}
  images: {generator: gan/spade, latent_channels: 7, discriminator: gan/patchgan, adversarial: gan/hinge}
  refiner: {generator: refine/unet, losses: [losses/cross_entropy], refines: plain}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(BENCHMARK)
    return path


def given(text, protocol=PROTOCOL):
    return read_method_argument(text, load_registry(), protocol)


def test_a_name_is_a_generator_with_its_defaults():
    found = given("basic/fcn")
    assert (found.label, found.maps, found.generator.use) == ("basic/fcn", "image -> labels", "basic/fcn")
    assert found.generator.options["width"] > 4


def test_a_flow_mapping_gives_options():
    found = given("{ use: basic/fcn,width: 4 }")
    assert found.generator.options["width"] == 4
    assert found.label == given("{use: basic/fcn, width: 4}").label == "basic/fcn width=4"


def test_a_benchmarks_method_is_taken_with_its_generator_and_noise(file):
    plain, images = given(f"{file}:plain"), given(f"{file}:images")
    assert (plain.generator.options["width"], plain.label) == (4, f"{file}:plain")
    assert plain.method("a name", PROTOCOL).latent_channels == 100
    assert (images.method("a name", PROTOCOL).latent_channels, images.maps) == (7, "labels -> image")


def test_what_a_benchmark_asks_for_and_does_not_get_is_named(file):
    assert given(f"{file}:plain").disregarded == ("compile",)
    assert given(f"{file}:images").disregarded == ("compile", "tf32")
    assert given(f"{file}:plain", PROTOCOL.model_copy(update={"compile": True})).disregarded == ()
    assert given("basic/fcn").disregarded == ()


def test_equal_methods_are_numbered():
    fcn, narrow = given("basic/fcn"), given("{use: basic/fcn, width: 4}")
    found = label_arguments([fcn, narrow, fcn, fcn])
    assert list(found) == ["basic/fcn", "basic/fcn width=4", "basic/fcn #2", "basic/fcn #3"]
    assert found["basic/fcn #3"] is fcn


def test_a_packaged_benchmark_is_found_by_its_name():
    assert given("quickstart:unet").generator.use == "smp/unet"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("basic/fnc", "METHOD basic/fnc: unknown generator 'basic/fnc'"),
        ("{use: basic/fcn, widht: 4}", "Did you mean 'width'?"),
        ("{width: 4}", "must name its generator"),
        ("[basic/fcn]", "must be the name of a generator"),
        ("", "must be the name of a generator"),
        ("quickstart", "The methods of the benchmark 'quickstart' are quickstart:METHOD."),
        ("quickstart:", "write BENCHMARK:METHOD"),
        (":unet", "write BENCHMARK:METHOD"),
        ("quickstart:unte", "METHOD quickstart:unte: there is no method 'unte'"),
        ("refine/unet", "refines the predictions of another method"),
    ],
)
def test_what_is_no_method_is_refused(text, message):
    with pytest.raises(SpecError) as caught:
        given(text)
    assert message in str(caught.value)


def test_a_benchmarks_refiner_is_refused_too(file):
    with pytest.raises(SpecError, match="`segbench run` does that after training"):
        given(f"{file}:refiner")
