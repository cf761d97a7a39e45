from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional

from segbench import SegbenchError, WeightsError
from segbench.engine.model.network import Segmenter
from segbench_hf import SMALL_DPT, SMALL_SEGFORMER, SMALL_UPERNET, segbench_generators

BUILD = {component.name: component.build for component in segbench_generators()}
CONFIGS = {
    "segformer": SMALL_SEGFORMER,
    "upernet": SMALL_UPERNET,
    "dpt": SMALL_DPT,
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def build(model, channels=3, classes=5, **options):
    return BUILD["auto"](channels, classes, model=str(model), **options)


def saved(folder, model_type):
    """Leave a network of transformers in a folder, as its users do, and return it."""
    from transformers import AutoConfig, AutoModelForSemanticSegmentation

    torch.manual_seed(1)
    config = AutoConfig.for_model(model_type, num_labels=5, **CONFIGS[model_type])
    network = AutoModelForSemanticSegmentation.from_config(config)
    network.save_pretrained(folder)
    return network.eval()


@pytest.mark.parametrize("name", ["segformer", "upernet", "dpt"])
def test_an_architectures_own_component_is_what_auto_makes_of_its_name(name):
    torch.manual_seed(0)
    one = BUILD[name](3, 2, config=CONFIGS[name]).state_dict()
    torch.manual_seed(0)
    other = build(name, classes=2, config=CONFIGS[name]).state_dict()
    assert all(tensor.equal(other[key]) for key, tensor in one.items())


@pytest.mark.parametrize("model_type", ["segformer", "upernet", "dpt"])
def test_a_pretrained_network_gives_what_transformers_gives(tmp_path, model_type):
    reference = saved(tmp_path, model_type)
    network = build(tmp_path).eval()
    images = torch.rand(1, 3, 64, 64)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    with torch.inference_mode():
        expected = reference((images - mean) / std).logits
        torch.testing.assert_close(network(images * 2 - 1), expected, rtol=1e-4, atol=1e-5)


def test_dpt_takes_oblong_images():
    network = build("dpt", config=SMALL_DPT).eval()
    with torch.inference_mode():
        square = network(torch.zeros(1, 3, 64, 64))
        oblong = network(torch.zeros(1, 3, 64, 128))
    assert square.shape == (1, 5, 64, 64)
    assert oblong.shape == (1, 5, 64, 128)


def test_the_auxiliary_head_runs_in_training_only():
    network = build("upernet", config=SMALL_UPERNET)
    calls = []
    network.model.auxiliary_head.head.register_forward_hook(lambda *_: calls.append(1))
    images = torch.rand(2, 3, 64, 64)
    logits, auxiliary = network.train()(images)
    assert logits.shape[:2] == auxiliary.shape[:2] == (2, 5)
    assert isinstance(network.eval()(images), torch.Tensor)
    assert len(calls) == 1
    assert network.model.auxiliary_head.logits is None


def test_the_auxiliary_loss_has_the_weight_of_the_configuration():
    network = build("upernet", config={**SMALL_UPERNET, "auxiliary_loss_weight": 0.25})
    logits, target = torch.randn(2, 5, 3, 4), torch.randint(5, (2, 6, 8))
    target[0, :2] = -100
    resized = functional.interpolate(logits, size=(6, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        network.auxiliary_loss((logits,), target), 0.25 * functional.cross_entropy(resized, target)
    )


def test_another_number_of_classes_draws_the_classifier_anew_and_keeps_the_rest(tmp_path):
    reference = saved(tmp_path, "segformer").state_dict()
    given = build(tmp_path, classes=7).model.state_dict()
    changed = {name for name in reference if not torch.equal(reference[name], given[name])}
    assert changed == {"decode_head.classifier.weight", "decode_head.classifier.bias"}
    assert given["decode_head.classifier.weight"].shape[0] == 7


@pytest.mark.parametrize(("model_type", "first"), [("segformer", "patch_embeddings"), ("upernet", "embeddings")])
def test_other_channels_keep_the_features_of_a_grey_image(tmp_path, model_type, first):
    saved(tmp_path, model_type)
    colour, grey, six = (build(tmp_path, channels=channels).eval() for channels in (3, 1, 6))
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = colour.model(images.expand(-1, 3, -1, -1)).logits
        torch.testing.assert_close(grey.model(images).logits, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(six.model(images.expand(-1, 6, -1, -1)).logits, expected, rtol=1e-4, atol=1e-5)
    changed = [name for name, tensor in grey.model.state_dict().items() if tensor.shape[1:2] == (1,) and first in name]
    assert changed


def test_the_seed_settles_what_is_drawn_anew(tmp_path):
    saved(tmp_path, "segformer")
    torch.manual_seed(5)
    first = build(tmp_path, classes=7).state_dict()
    torch.manual_seed(5)
    assert all(tensor.equal(first[name]) for name, tensor in build(tmp_path, classes=7).state_dict().items())


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}, [1.0, 0.0, -1.0]),
        ({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_normalize": False}, [1.0, 0.5, 0.0]),
        ({"do_flip_channel_order": True}, [0.0, 0.5, 1.0]),
    ],
)
def test_images_are_converted_as_the_image_processor_does(tmp_path, processor, expected):
    saved(tmp_path, "segformer")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    images = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)
    assert build(tmp_path).normalise(images).flatten().tolist() == pytest.approx(expected)


def test_a_folder_is_told_by_its_name_and_the_hash_of_its_weights(tmp_path, digest):
    saved(tmp_path / "mine", "segformer")
    segmenter = Segmenter(build(tmp_path / "mine"), 5)
    expected = {"weights": "mine", "sha256": digest(tmp_path / "mine" / "model.safetensors")}
    assert segmenter.provenance == expected
    assert build("segformer", config=SMALL_SEGFORMER).provenance == {}


def test_a_repository_in_the_hubs_cache_is_loaded_and_told(hub_cache, digest):
    repository = hub_cache / "models--someone--segformer"
    snapshot = repository / "snapshots" / COMMIT
    reference = saved(snapshot, "segformer")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    network = build("someone/segformer")
    assert network.provenance == {
        "weights": "someone/segformer",
        "commit": COMMIT,
        "sha256": digest(snapshot / "model.safetensors"),
    }
    given = network.model.state_dict()
    assert all(tensor.equal(given[name]) for name, tensor in reference.state_dict().items())


def test_a_hub_out_of_reach_is_an_error_that_offers_a_folder(hub_cache):
    with pytest.raises(WeightsError, match=r"'nvidia/mit-b0' at revision 'main' could not be fetched .*give a local"):
        build("nvidia/mit-b0")


def test_nothing_is_printed(tmp_path, capfd):
    saved(tmp_path, "segformer")
    capfd.readouterr()
    build(tmp_path, classes=7)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), r"has no model\.safetensors; weights of another"),
        (lambda folder: (folder / "config.json").unlink(), r"has no config\.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "the weights in .* cannot be loaded"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("no"), "cannot be read as JSON"),
    ],
)
def test_a_folder_that_will_not_do_is_an_error(tmp_path, spoil, message):
    saved(tmp_path, "segformer")
    spoil(tmp_path)
    with pytest.raises(WeightsError, match=message):
        build(tmp_path)


def test_weights_of_another_backbone_are_an_error(tmp_path):
    from safetensors.torch import load_file, save_file

    saved(tmp_path, "segformer")
    state = load_file(tmp_path / "model.safetensors")
    missing = next(name for name in state if name.startswith("segformer."))
    del state[missing]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match="do not fit a SegformerForSemanticSegmentation; missing: segformer"):
        build(tmp_path)


def test_other_weights_than_the_classifiers_must_fit(tmp_path):
    saved(tmp_path, "segformer")
    with pytest.raises(WeightsError, match="of another shape: decode_head"):
        build(tmp_path, config={"decoder_hidden_size": 48})


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("segformer", {"config": {"hidden_sizez": [8]}}, "segformer has no entry 'hidden_sizez' to be set; it has"),
        ("segformer", {"config": {"hidden_sizes": "x"}}, "segformer cannot take"),
        ("segformer", {"config": {"depths": [1, 1]}}, "cannot be built"),
        ("upernet", {"config": {"backbone_config": {"model_type": "convnext", "dept": 3}}}, "convnext has no entry"),
        ("data2vec-vision", {}, "takes images of 224x224 pixels only"),
        ("./nowhere", {}, "there is no folder"),
    ],
)
def test_options_that_will_not_do_are_errors(model, options, message):
    with pytest.raises(SegbenchError, match=message):
        build(model, **options)


def test_a_network_of_another_task_is_an_error(tmp_path):
    from transformers import AutoConfig

    saved(tmp_path, "segformer")
    AutoConfig.for_model("convnext").save_pretrained(tmp_path)
    with pytest.raises(SegbenchError, match="holds a convnext, which transformers has no semantic segmentation for"):
        build(tmp_path)
