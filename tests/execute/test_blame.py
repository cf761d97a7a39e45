"""Which plugin an error is blamed on."""

from __future__ import annotations

from segbench.execute.blame import blame_for_crash, blame_for_files, describe_place


def test_the_innermost_file_of_a_plugin_decides(broken_plugin):
    (broken_plugin / "__init__.py").write_text("raise RuntimeError('imported to find its source')")
    assert blame_for_files(["/lib/torch/nn.py", str(broken_plugin / "network.py"), "/elsewhere.py"]) == "broken"


def test_two_plugins_of_one_package_are_distinguished(broken_plugin):
    assert blame_for_files([str(broken_plugin / "other" / "network.py")]) == "other"


def test_a_file_of_no_plugin_blames_no_plugin(broken_plugin):
    assert blame_for_files(["/lib/torch/nn.py", "<string>"]) is None


def test_a_file_given_as_a_plugin_is_blamed_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBENCH_PLUGIN_FILES", str(tmp_path / "edges.py"))
    assert blame_for_files(["/lib/torch/nn.py", str(tmp_path / "edges.py")]) == "edges"
    assert blame_for_files([str(tmp_path / "other.py")]) is None


def test_a_malformed_entry_point_owns_nothing(install_plugin):
    install_plugin("bad-dist", {"bad": "not a module!"}, {})
    assert blame_for_files(["/lib/torch/nn.py"]) is None


def test_the_thread_that_crashed_comes_before_the_others(broken_plugin):
    log = (
        'Thread 0x1 (most recent call first):\n  File "/lib/threading.py", line 3 in wait\n\n'
        "Current thread 0x2 (most recent call first):\n"
        f'  File "{broken_plugin / "network.py"}", line 4 in build\n'
    )
    assert blame_for_crash(log) == "broken"


def test_a_worker_blames_the_plugin_that_raised_or_crashed(broken_plugin, outcome_of):
    raised, crashed = outcome_of("raises_in_plugin").failure, outcome_of("crashes_in_plugin").failure
    assert raised.plugin == crashed.plugin == "broken"
    assert raised.cause.startswith("TypeError: '<' not supported")


def test_a_cause_that_the_engine_has_found_blames_no_plugin(broken_plugin, outcome_of):
    failure = outcome_of("cell_error_from_plugin").failure
    assert (failure.cause, failure.plugin) == ("the loss became nan by step 3", None)


def test_a_worker_runs_the_innermost_line_of_a_plugin(broken_plugin):
    stacks = (
        'Thread 0x1 (most recent call first):\n  File "/lib/threading.py", line 3 in wait\n\n'
        'Current thread 0x2 (most recent call first):\n  File "/lib/torch/conv.py", line 4 in forward\n'
        f'  File "{broken_plugin}/network.py", line 12 in hang\n  File "/segbench/train.py", line 9 in train\n'
    )
    assert describe_place(stacks) == "plugin 'broken': network.py, line 12, in hang"


def test_without_a_plugin_it_is_the_innermost_code_and_without_a_stack_nothing(broken_plugin):
    assert (
        describe_place('Thread 0x1 (most recent call first):\n  File "/lib/x.py", line 3 in f\n')
        == "x.py, line 3, in f"
    )
    assert describe_place("Fatal Python error: none") == ""
