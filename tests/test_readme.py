"""README and reference cannot go stale: the README's examples run, and the reference names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import segbench
from segbench.cli.app import COMMANDS
from segbench.config.benchmark import load_benchmark, packaged_benchmarks
from segbench.config.protocol import TrainingProtocol
from segbench.registry import load_registry
from segbench.registry.options import read_signature

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([\w./-]+)", README))))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / target).is_file()


def block(language: str) -> str:
    """Return the one code block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return found


def test_the_benchmark_file_can_be_loaded(tmp_path):
    path = tmp_path / "my-question.yaml"
    path.write_text(block("yaml"))
    benchmark = load_benchmark(str(path), load_registry())
    assert benchmark.name == "my-question"
    assert benchmark.methods["unet+dice"].twin == "unet"
    assert benchmark.datasets["mine"].root == str(tmp_path / "path" / "to" / "data")


def test_the_plugin_offers_its_component():
    namespace: dict = {"__name__": "my_package"}
    exec(block("python"), namespace)
    (component,) = namespace["segbench_generators"]()
    assert isinstance(component, segbench.Component)
    assert [option.name for option in read_signature("generator", component.build).options] == ["width"]


@pytest.mark.parametrize("key", TrainingProtocol.model_fields)
def test_every_key_of_the_protocol_is_described(key):
    assert f"`{key}`" in REFERENCE


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_shown(command):
    assert re.search(rf"segbench {command}[ `]", REFERENCE)


@pytest.mark.parametrize("name", packaged_benchmarks())
def test_every_packaged_benchmark_is_named(name):
    assert f"`{name}`" in REFERENCE


def test_every_dataset_and_loss_is_named():
    registry = load_registry()
    for offer in [*registry.offers("dataset"), *registry.offers("loss")]:
        if offer.distribution == "segbench":
            assert offer.component.name in REFERENCE, offer.full_name
