from __future__ import annotations

import pytest

from segbench.spec.recipe import ComponentUse, WeightedLoss

NET = "net: {generator: toy/net, losses: [toy/entropy]}"


def test_losses_have_weights(workshop):
    losses = (
        workshop.methods("net: {generator: net, losses: [{use: dice, weight: 0.5, smooth: 1}]}").methods["net"].losses
    )
    assert losses == (WeightedLoss(use="toy/dice", options={"smooth": 1.0}, weight=0.5),)


@pytest.mark.parametrize(("loss", "role"), [("hinge", "adversarial"), ("slope", "penalty"), ("calm", "unlabelled")])
def test_losses_are_supervised(workshop, loss, role):
    message = workshop.methods_refusal(f"net: {{generator: net, losses: [entropy, {{use: {loss}}}]}}")
    assert message == (
        f"bench.yaml:9: methods.net.losses.1.use: loss toy/{loss} has the role '{role}'; under losses: stand those "
        "with 'supervised'"
    )


def test_a_method_knows_what_its_generator_maps(workshop):
    methods = workshop.methods("net: {generator: net, losses: [entropy]}\nc: {generator: colours, losses: [entropy]}")
    assert [method.maps for method in methods.methods.values()] == ["image -> labels", "image -> image"]


def test_a_discriminator_has_options(workshop):
    method = workshop.methods(
        "net: {generator: net, losses: [entropy], discriminator: {use: critic, width: 9}, adversarial: hinge}"
    ).methods["net"]
    assert method.discriminator == ComponentUse(use="toy/critic", options={"width": 9})


def test_a_discriminator_is_a_discriminator(workshop):
    message = workshop.methods_refusal(
        "net: {generator: net, losses: [entropy], discriminator: net, adversarial: hinge}"
    )
    assert message.startswith(
        "bench.yaml:9: methods.net.discriminator: unknown discriminator 'net'. There is: toy/critic"
    )


def test_an_option_that_a_loss_has_not_is_told_with_the_keys_beside_options(workshop):
    message = workshop.methods_refusal("net: {generator: net, losses: [{use: dice, wieght: 2}]}")
    assert message == (
        "bench.yaml:9: methods.net.losses.0.wieght: loss toy/dice has no option 'wieght'; its options are smooth. "
        "Beside options there may be weight. Did you mean 'weight'?"
    )


@pytest.mark.parametrize("losses", ["entropy", "{use: entropy}", "3"])
def test_losses_are_a_list(workshop, losses):
    message = workshop.methods_refusal(f"net: {{generator: net, losses: {losses}}}")
    assert "bench.yaml:9: methods.net.losses: must be a list of losses" in message


def test_there_is_at_least_one_loss(workshop):
    assert "methods.net.losses: must name at least one loss" in workshop.methods_refusal(
        "net: {generator: net, losses: []}"
    )


@pytest.mark.parametrize("weight", ["0", "-1", "true", "x", "[1]"])
def test_a_weight_is_a_positive_number(workshop, weight):
    message = workshop.methods_refusal(f"net: {{generator: net, losses: [{{use: dice, weight: {weight}}}]}}")
    assert message.startswith("bench.yaml:9: methods.net.losses.0.weight: must be ")
    assert ", not " in message


def with_dataset(text):
    return f"name: t\nprotocol: {{budget: {{steps: 1}}}}\nseeds: [0]\nmethods: {{{NET}}}\ndatasets:\n  data: {text}\n"


def test_a_relative_root_is_relative_to_the_file(workshop):
    dataset = workshop.load(with_dataset("{use: pictures, root: ../somewhere, size: [3, 4]}")).datasets["data"]
    assert dataset.root == str(workshop.path.parent.parent / "somewhere")
    assert dataset.options == {"size": [3, 4]}


def test_a_tilde_is_the_home_folder(workshop, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    dataset = workshop.load(with_dataset("{use: pictures, root: ~/data}")).datasets["data"]
    assert dataset.root == str(tmp_path / "home" / "data")


def test_a_relative_root_of_the_command_line_is_relative_to_the_working_folder(workshop, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    dataset = workshop.load(with_dataset("pictures"), sets=["datasets.data.root=x"]).datasets["data"]
    assert dataset.root == str(tmp_path / "here" / "x")


def test_a_root_may_be_left_out(workshop):
    assert workshop.load(with_dataset("pictures")).datasets["data"].root is None
    assert workshop.load(with_dataset("{use: pictures, root: null}")).datasets["data"].root is None


def test_a_dataset_without_files_takes_no_root(workshop):
    message = workshop.refusal(with_dataset("\n    use: shapes\n    root: x"))
    assert message.startswith("bench.yaml:8: datasets.data.root: dataset toy/shapes reads no folder")


def test_a_root_is_text(workshop):
    assert "datasets.data.root: must be the path of a folder, not the number 3" in workshop.refusal(
        with_dataset("{use: pictures, root: 3}")
    )


def test_the_home_of_nobody_is_an_error(workshop):
    assert "datasets.data.root: '~no-such-user-here/x':" in workshop.refusal(
        with_dataset("{use: pictures, root: ~no-such-user-here/x}")
    )
