from __future__ import annotations

from segbench.engine.timing.parts import Work, energy_part, row_part, sweep_part


def test_rows_come_by_batch_then_by_stage_the_warm_up_before_the_blocks():
    parts = [
        row_part(stage, batch, work)
        for batch in (1, 8)
        for stage in ("forward", "argmax", "loading")
        for work in (Work.WARM_UP, Work.BLOCK)
    ]
    assert sorted([*parts[3:], *parts[:3]]) == parts


def test_the_sweep_comes_after_all_rows_and_energy_last():
    last_row = row_part("loading", 1024, Work.BLOCK)
    assert sorted([energy_part(), sweep_part(2), sweep_part(1), last_row]) == [
        last_row,
        sweep_part(1),
        sweep_part(2),
        energy_part(),
    ]


def test_parts_are_named_for_people():
    parts = [row_part("argmax", 8, Work.WARM_UP), sweep_part(4), energy_part()]
    assert [str(part) for part in parts] == ["argmax, batches of 8", "sweep, batches of 4", "energy"]
