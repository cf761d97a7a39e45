from __future__ import annotations

import re
import subprocess
import sys
from typing import get_args

import pytest

from segbench.cli import main
from segbench.cli.new import TEMPLATES_BY_KIND, Role, template_files
from segbench.config.benchmark import load_benchmark
from segbench.contract import ROLES
from segbench.registry import load_registry
from segbench.registry.datasets import open_dataset
from segbench.registry.options import build
from segbench.testing import check_component

# Each kind, and the losses of other roles.
KINDS = [*TEMPLATES_BY_KIND, *(f"loss --role {role}" for role in ROLES[1:])]
VOCABULARY = {"in_channels": 3, "num_classes": 2, "ignore_index": 255, "size": (16, 16)}


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def new(tmp_path):
    """Writes a component of the name spare-part (package spare_part) of a kind."""

    def write(kind):
        assert main(["new", *kind.split(), "spare-part", "--into", str(tmp_path)]) == 0
        return tmp_path / "spare-part"

    return write


@pytest.fixture
def installed(new, install_plugin):
    """Writes and installs spare-part; a dataset's files are read where they were written."""

    def write(kind):
        folder = new(kind)
        install_plugin("spare-part", {"spare-part": "spare_part"}, {})
        (install_plugin.folder / "spare_part").symlink_to(folder / "spare_part")
        install_plugin.packages.add("spare_part")
        return folder

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_has_all_that_it_needs(new, kind):
    module = f"spare_part/{TEMPLATES_BY_KIND[kind.split()[0]].module}"
    files = {path for path in files_below(new(kind)) if not path.endswith(".png")}
    assert files == {
        "README.md",
        "benchmark.yaml",
        "pyproject.toml",
        "spare_part/__init__.py",
        module,
        "tests/test_spare_part.py",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_the_template_s_name(new, kind):
    folder = new(kind)
    for path in files_below(folder):
        if not path.endswith(".png"):
            text = (folder / path).read_text()
            assert not re.search(r"my[-_](net|critic|loss|data)", path + text), path
            assert "segbench_template" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_component_is_found_under_its_name_and_builds(installed, kind):
    installed(kind)
    offer = load_registry().find(kind.split()[0], "spare-part")
    assert (offer.plugin, offer.full_name) == ("spare-part", "spare-part/spare-part")
    assert offer.component.role == (kind.split()[-1] if "--role" in kind else "supervised")
    if kind == "dataset":
        assert {name: len(split) for name, split in open_dataset(offer, None, {}).splits.items()} == {
            "train": 8,
            "val": 3,
            "test": 4,
        }
    else:
        assert build(offer, VOCABULARY, {}) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_the_benchmark_sets_the_component_against_a_rival(installed, kind):
    benchmark = load_benchmark(str(installed(kind) / "benchmark.yaml"), load_registry())
    assert "smp/unet" in {method.generator.use for method in benchmark.methods.values()}
    assert benchmark.compare
    assert "spare-part/spare-part" in benchmark.model_dump_json()


@pytest.mark.parametrize("kind", KINDS)
def test_the_code_passes_ruff(new, kind):
    ruff = [sys.executable, "-m", "ruff"]
    folder = new(kind)
    subprocess.run([*ruff, "check", "--no-cache", "."], cwd=folder, check=True, capture_output=True)
    subprocess.run([*ruff, "format", "--no-cache", "--check", "."], cwd=folder, check=True, capture_output=True)


def test_what_to_do_next_is_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "loss", "spare-part", "--into", "my work"]) == 0
    out = capsys.readouterr().out
    assert "    pip install -e 'my work/spare-part'\n" in out
    assert "    segbench check spare-part\n" in out
    assert "    segbench run 'my work/spare-part/benchmark.yaml'\n" in out
    assert "my work/spare-part/spare_part/loss.py" in out


def test_a_role_is_one_of_those_of_losses(tmp_path, capsys):
    assert get_args(Role) == ROLES
    assert main(["new", "generator", "spare-part", "--role", "penalty", "--into", str(tmp_path)]) == 2
    assert "--role says what a loss is for; leave it out for a generator" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("role", ROLES[1:])
def test_a_loss_of_each_role_passes_its_checks(installed, role):
    installed(f"loss --role {role}")
    results = list(check_component("loss", "spare-part"))
    assert {result.outcome for result in results} <= {"passed", "skipped"}, results


def test_a_kind_may_be_written_in_plural(tmp_path):
    assert main(["new", "losses", "spare-part", "--into", str(tmp_path)]) == 0


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "spare-part").mkdir()
    assert main(["new", "loss", "spare-part", "--into", str(tmp_path)]) == 0


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "spare-part").mkdir()
    (tmp_path / "spare-part" / "thesis.tex").touch()
    assert main(["new", "loss", "spare-part", "--into", str(tmp_path)]) == 2
    assert "spare-part exists already: remove it, choose another name" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "spare-part").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("los", "spare-part", "unknown kind 'los'. Did you mean 'loss'? Available: generator, discriminator, loss, "),
        ("loss", "SparePart", "'SparePart' cannot be the name of a package: use lower-case letters"),
        ("loss", "SparePart", "Perhaps 'spare-part'?"),
        ("loss", "spare/part", "Perhaps 'spare-part'?"),
        ("loss", "../part", "Perhaps 'part'?"),
        ("loss", "3d", "Perhaps 'my-3d'?"),
        ("loss", "class", "Perhaps 'my-class'?"),
        ("loss", "null", "Perhaps 'my-null'?"),
        ("loss", "-", "cannot be the name"),
        ("loss", "dice", "the name 'dice' is taken by loss losses/dice: choose another"),
        ("loss", "smp", "the name 'smp' is taken by plugin 'smp' of segbench"),
        ("loss", "torch", "the name 'torch' is taken by the installed distribution torch"),
        ("loss", "json", "the name 'json' is taken by the Python module json"),
    ],
)
def test_a_kind_or_name_that_will_not_do_is_a_clear_error(tmp_path, capsys, kind, name, message):
    assert main(["new", kind, name, "--into", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_plugin_that_is_broken_is_taken_as_well(tmp_path, capsys, install_plugin):
    install_plugin("bad-dist", {"bad": "bad_plugin"}, {"bad_plugin.py": "raise RuntimeError('no luck')"})
    assert main(["new", "loss", "bad", "--into", str(tmp_path / "out")]) == 2
    assert "the name 'bad' is taken by plugin 'bad' of bad-dist 1.0" in capsys.readouterr().err


def test_a_name_taken_in_another_kind_is_free(tmp_path):
    assert main(["new", "loss", "unet", "--into", str(tmp_path)]) == 0


def test_what_python_and_tools_leave_among_sources_is_no_part_of_the_template(tmp_path):
    for path in ("my_net/network.py", "my_net/__pycache__/network.pyc", "my_net.egg-info/PKG-INFO", ".ruff_cache/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert [path for path, _ in template_files(tmp_path)] == ["my_net/network.py"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_package_installs_checks_tests_and_runs_as_it_is(new, tmp_path, kind, monkeypatch):
    folder, site = new(kind), tmp_path / "site"
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site), str(folder)]
    subprocess.run([sys.executable, "-m", *pip], check=True)
    monkeypatch.setenv("PYTHONPATH", str(site))
    segbench = [sys.executable, "-m", "segbench"]

    checked = subprocess.run([*segbench, "check", "spare-part"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "nothing is wrong" in checked.stdout

    tested = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "tests")]
    subprocess.run(tested, check=True, cwd=tmp_path)

    run = [*segbench, "run", str(folder / "benchmark.yaml"), "--set", "protocol.budget.steps=4"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^(unet\+)?spare-part |^unet ", done.stdout, re.MULTILINE)
