from __future__ import annotations

import functools
import sys
from importlib import import_module
from importlib.metadata import version

import pytest

from segbench.component import Component
from segbench.errors import ComponentError, PluginError
from segbench.plan.source import required_versions, source_hash
from segbench.registry import Offer
from segbench.registry.plugin_files import load_file

from .conftest import forget


def offer_of(build):
    return Offer("generator", "toy", "toy-plugin", "1.0", Component("x", build, "a toy"))


def test_the_hash_is_that_of_the_whole_top_level_package(toy):
    hashes = {source_hash(toy.offer("generator", "net")), source_hash(toy.offer("loss", "entropy"))}
    assert len(hashes) == 1
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in hashes)


@pytest.mark.parametrize(
    ("name", "text"),
    [("deep/inside.py", "def net(in_channels):\n    pass\n"), ("new.py", ""), ("deep/__init__.py", "# a comment\n")],
)
def test_the_hash_changes_with_every_source_file(toy, name, text):
    offer = toy.offer("generator", "net")
    before = source_hash(offer)
    toy.write(name, text)
    assert source_hash(offer) != before


def test_the_hash_changes_when_a_file_is_renamed(toy):
    offer = toy.offer("generator", "net")
    toy.write("one.py", "x = 1\n")
    before = source_hash(offer)
    (toy.folder / "one.py").rename(toy.folder / "two.py")
    assert source_hash(offer) != before


def test_text_that_moves_between_files_changes_the_hash(toy):
    offer = toy.offer("generator", "net")
    toy.write("one.py", "x = 1\ny = 2\n")
    toy.write("two.py", "")
    before = source_hash(offer)
    toy.write("one.py", "x = 1\n")
    toy.write("two.py", "y = 2\n")
    assert source_hash(offer) != before


def test_other_files_and_line_endings_do_not_count(toy):
    offer = toy.offer("generator", "net")
    toy.write("one.py", "x = 1\ny = 2\n")
    before = source_hash(offer)
    (toy.folder / "one.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    toy.write("data.txt", "text")
    assert source_hash(offer) == before


def test_the_folder_a_package_lies_in_does_not_count(toy, tmp_path, monkeypatch):
    before = source_hash(toy.offer("generator", "net"))
    (tmp_path / "elsewhere").mkdir()
    toy.folder = toy.folder.rename(tmp_path / "elsewhere" / toy.folder.name)
    forget(toy.folder.name)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert source_hash(toy.offer("generator", "net")) == before


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """Write modules and import the last of them."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, text):
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(name)
        return import_module(name)

    yield write
    for name in written:
        forget(name.partition(".")[0])


def test_a_single_module_is_its_one_file(importable, tmp_path):
    offer = offer_of(importable("toy_single_module", "def build(): pass\n").build)
    before = source_hash(offer)
    (tmp_path / "beside.py").write_text("x = 1\n")
    assert source_hash(offer) == before
    (tmp_path / "toy_single_module.py").write_text("def build(): return 1\n")
    assert source_hash(offer) != before


def test_in_a_namespace_package_the_first_regular_package_counts(importable, tmp_path):
    (tmp_path / "toy_space" / "mine").mkdir(parents=True)
    (tmp_path / "toy_space" / "mine" / "__init__.py").touch()
    offer = offer_of(importable("toy_space.mine.parts", "def build(): pass\n").build)
    before = source_hash(offer)
    (tmp_path / "toy_space" / "theirs.py").write_text("x = 1\n")
    assert source_hash(offer) == before
    (tmp_path / "toy_space" / "mine" / "more.py").write_text("x = 1\n")
    assert source_hash(offer) != before


def test_a_namespace_package_of_modules_is_one_module(importable):
    assert source_hash(offer_of(importable("toy_other_space.parts", "def build(): pass\n").build))


def test_wrapped_functions_classes_and_objects_lead_to_their_module(importable):
    module = importable(
        "toy_wrapped",
        "import functools\n"
        "def plain(*, width: int = 1): pass\n"
        "@functools.wraps(plain)\ndef wrapped(*args): pass\n"
        "class Build:\n    def __call__(self): pass\n"
        "instance = Build()\n",
    )
    builds = [module.plain, module.wrapped, functools.partial(module.plain, width=3), module.Build, module.instance]
    assert len({source_hash(offer_of(build)) for build in builds}) == 1


def file_offer(path, build):
    return Offer("generator", path.stem, path.name, "0" * 12, Component("x", build, "a toy"), path)


def test_a_plugin_file_counts_as_it_was_loaded_wherever_it_lies(tmp_path):
    def hash_of(folder, text):
        path = tmp_path / folder / "toy_file.py"
        path.parent.mkdir()
        path.write_text(text)
        offer = file_offer(path, load_file(path).build)
        before = source_hash(offer)
        path.write_text("# edited\n")  # this process goes on with what it has loaded
        assert source_hash(offer) == before
        return before

    source = "def build(): pass\n"
    one, other = hash_of("one", source), hash_of("other", source)
    assert one == other != hash_of("third", f"{source}# a comment\n")


def test_a_plugin_file_counts_along_with_the_package_that_it_takes_the_build_from(importable, tmp_path):
    path = tmp_path / "toy_borrowing.py"
    path.write_text("")
    offer = file_offer(path, importable("toy_lender", "def build(): pass\n").build)
    before = source_hash(offer)
    (tmp_path / "toy_lender.py").write_text("def build(): return 1\n")
    assert source_hash(offer) != before


def test_code_without_source_is_refused(monkeypatch):
    module = type(sys)("toy_without_source")
    exec("def build(): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "toy_without_source", module)
    with pytest.raises(PluginError, match="toy/x is defined in toy_without_source, which has no source files"):
        source_hash(offer_of(module.build))


def test_versions_are_those_of_the_required_distributions(toy):
    offer = toy.offer("generator", "net", requires=("pydantic", "ruamel.yaml"))
    assert required_versions(offer) == {"pydantic": version("pydantic"), "ruamel.yaml": version("ruamel.yaml")}


def test_a_required_distribution_that_is_missing_is_an_error(toy):
    with pytest.raises(ComponentError, match=r"needs no-such-library.*pip install"):
        required_versions(toy.offer("generator", "net", requires=("no-such-library",)))
