"""What workers share."""

from __future__ import annotations

from segbench.execute.forkserver import import_names, modules_to_preload


def test_a_distribution_is_imported_under_its_main_package():
    assert import_names("segmentation-models-pytorch") == ["segmentation_models_pytorch"]
    assert import_names("torch") == ["torch"]


def test_a_distribution_of_another_name_gives_all_its_packages():
    assert import_names("pillow") == ["PIL"]
    assert import_names("scikit-learn") == ["sklearn"]


def test_a_distribution_that_is_missing_gives_none():
    assert import_names("no-such-distribution") == []


def test_no_plugin_is_preloaded():
    names = modules_to_preload(["timm", "torch"])
    assert {"torch", "timm", "segbench.engine.cell"} <= set(names)
    assert not [name for name in names if name.startswith("segbench_")]
