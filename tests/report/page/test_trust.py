from __future__ import annotations

from segbench.report import load
from segbench.report.page.trust import trust

from .reading import Page


def tables_of(*records, results):
    return {table.title: table for table in trust(load([results(*records)])).tables}


def test_failures_warnings_and_definitions_are_listed(trained, adversarial, failed, results):
    page = Page(trust(load([results(trained(), adversarial(verdict="collapsed"), failed("broken", 1))])).html)
    assert "failed: camvid / camvid / broken / seed 1: the loss is NaN at step 17 (plugin losses)" in page.text
    assert "unet+critic, seed 0: collapsed: it is collapsed" in page.text
    assert "mIoU (miou/union@1)" in page.text


def test_machines_and_versions_are_told_once_for_each_combination(trained, results):
    elsewhere = {"device": "cpu", "cpu": "AMD EPYC", "torch": "2.11.0", "started": "2026-11-29T10:00:00+00:00"}
    table = tables_of(trained(), trained(seed=1), trained(seed=2, environment=elsewhere), results=results)[
        "Provenance: machines and versions"
    ]
    told = {row[0]: row[1:] for row in table.rows}
    assert told["torch"] == ["2.15.0", "2.11.0"]
    assert told["begun"] == ["-", "2026-11-29"]
    assert told["cells"] == ["2", "1"]


def test_components_have_the_hash_of_their_source(trained, results):
    table = tables_of(trained(), results=results)["Plugins and libraries"]
    assert ["smp", "c0ffee"] in table.rows


def test_every_cell_has_its_command_and_label_maps_from_elsewhere_have_none(trained, scored, failed, results):
    records = trained("unet"), scored("mmseg"), failed("next", 2)
    table = tables_of(*records, results=results)["Every cell, and the command that runs it again"]
    commands = {row[3]: row[-1] for row in table.rows}
    assert commands == {
        "unet": "segbench run camvid --only unet --seeds 0 --results again",
        "mmseg": "-",
        "next": "segbench run camvid --only next --seeds 2 --results again",
    }
