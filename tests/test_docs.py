"""The pages of docs/ cannot go stale: their code runs, and they name what there is with its signature."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
from contextlib import chdir
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.main
from PIL import Image

import segbench
import segbench.images
import segbench.testing
import segbench.weights
from segbench import contract
from segbench.cli import main
from segbench.cli.app import app, global_options_first
from segbench.config.benchmark import load_benchmark
from segbench.contract import HOOKS, MAPS, RESERVED_OPTIONS, ROLES, VOCABULARY
from segbench.interactive.frames import CLASS_COLUMNS, CURVE_COLUMNS
from segbench.registry import load_registry
from segbench.registry.plugins import make_file_source, read_offers
from segbench.report.cells import RecordedCell, describe_cell
from segbench.report.formats.as_csv import COLUMNS
from segbench.report.formats.long import CELL_COLUMNS, IMAGE_COLUMNS
from segbench.store.counts import Counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import Record, Scores
from segbench.testing import catalogue, check_component
from segbench.testing.check import FAULTS

ROOT = Path(__file__).parents[1]
DOCS = ("tutorial", "how-to", "reference", "explanation", "measuring", "recipes", "findings")
PATHS = {
    path.stem: path
    for path in [
        *(ROOT / "docs" / f"{name}.md" for name in DOCS),
        *(ROOT / "segbench" / name for name in ("SKILL.md", "llms.txt")),
    ]
}
PAGES = tuple(PATHS)
TEXTS = {page: path.read_text(encoding="utf-8") for page, path in PATHS.items()}
REFERENCE = TEXTS["reference"]

# Commands that take a moment; those that train or check are run with `-m slow`.
QUICK = {"new", "list", "show", "plan"}
PROGRAMS = {"segbench", "pip", "pytest", "cd", "python", "twine"}

PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (segbench, segbench.testing, segbench.images, segbench.weights)
    for name in module.__all__
}

CELL = Record(
    **{"key": "0" * 16, "benchmark": "b", "dataset": "d", "subset": "all", "method": "m", "seed": 0, "status": "ok"},
    spec={},
    environment={},
)
CELL_COLUMNS_OF_RECORDS = list(describe_cell(RecordedCell(CELL, ResultsFolder(Path("nowhere"), "b"))))

ALL_CHECKS = [
    check
    for checks in (
        catalogue.any_component.CHECKS,
        catalogue.roles.CHECKS,
        *catalogue.CHECKS_BY_KIND.values(),
        *catalogue.CHECKS_BY_ROLE.values(),
    )
    for check in checks
]


class Block(NamedTuple):
    """A fenced block of a page; `path` is what its first line names in a comment, as `# tiny_net.py`."""

    page: str
    language: str
    text: str

    @property
    def path(self):
        named = re.match(r"# ([\w./-]+\.(?:py|yaml))\n", self.text)
        return named and named[1]

    @property
    def offers_components(self):
        return self.language == "python" and "@hookimpl" in self.text

    @property
    def is_plugin(self):
        """Whether it is a plugin of a single file, and no module of a package."""
        return self.offers_components and "/" not in (self.path or "/")

    @property
    def commands(self):
        """The commands of a session, which follow `$ `, or the lines of a script."""
        lines = self.text.splitlines()
        return [line[2:] for line in lines if line.startswith("$ ")] if self.language == "console" else lines


def blocks(*languages, page=None):
    found = [
        Block(name, language, text)
        for name in ([page] if page else PAGES)
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", TEXTS[name], re.DOTALL | re.MULTILINE)
    ]
    return [block for block in found if block.language in languages]


def named(block):
    return f"{block.page}:{block.path or block.text.splitlines()[0]}"


@pytest.fixture
def my_components(tmp_path, install_plugin, monkeypatch):
    """What pages presuppose: my-net, my-critic, my-loss and my-data are installed, and all plugin files given."""
    for kind in ("generator my-net", "discriminator my-critic", "loss my-loss", "dataset my-data"):
        assert main(["new", *kind.split(), "--into", str(tmp_path / "packages")]) == 0
        link_as_installed(tmp_path / "packages" / kind.split()[1], install_plugin)
    files = [written(block, tmp_path / "files") for block in blocks("python") if block.is_plugin]
    monkeypatch.setenv("SEGBENCH_PLUGIN_FILES", os.pathsep.join(map(str, files)))


def written(block, folder):
    path = folder / (block.path or f"unnamed.{'py' if block.language == 'python' else 'yaml'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text)
    return path


def link_as_installed(folder, install_plugin):
    """Do what `pip install -e FOLDER` does for the packages that `segbench new` writes."""
    name = folder.name
    package = name.replace("-", "_")
    install_plugin(package, {name: package}, {})  # a dist-info folder is named as pip does, without dashes
    install_plugin.packages.add(package)
    (install_plugin.folder / package).symlink_to(folder.resolve() / package)


# The code.


# What proves that a block that offers no component did what it is shown for, by the names that it leaves.
PROOFS = {
    "checked.py": lambda left: left["result"].outcome == "passed",
    "test_my_net.py": lambda left: len(left["test_my_net_keeps_to_the_contract"].pytestmark[0].args[1]) > 1,
}


@pytest.mark.parametrize("block", [block for block in blocks("python") if block.offers_components], ids=named)
def test_every_plugin_can_be_loaded(block, tmp_path):
    offers = read_offers(make_file_source(written(block, tmp_path)))
    assert offers
    for offer in offers:
        assert offer.component.name in TEXTS[block.page]


@pytest.mark.usefixtures("my_components")
@pytest.mark.parametrize("block", [block for block in blocks("python") if not block.offers_components], ids=named)
def test_every_other_block_of_python_does_what_it_is_shown_for(block):
    left = {"__name__": "documented"}
    exec(compile(block.text, named(block), "exec"), left)
    assert PROOFS[block.path](left)


def test_an_exported_network_is_used_as_shown(recorded_cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(recorded_cell), "-o", "unet.pt"]) == 0
    Image.new("RGB", (50, 40)).save("photo.jpg")
    [block] = blocks("py")
    exec(compile(block.text, named(block), "exec"), {"__name__": "documented"})
    with Image.open("labels.png") as labels:
        assert labels.size == (50, 40)


@pytest.mark.usefixtures("my_components")
@pytest.mark.parametrize("block", blocks("yaml"), ids=named)
def test_every_benchmark_can_be_loaded(block, tmp_path):
    benchmark = load_benchmark(str(written(block, tmp_path)), load_registry())
    assert benchmark.methods


@pytest.mark.parametrize("block", blocks("console", "sh"), ids=named)
def test_every_command_and_its_options_exist(block):
    commands = typer.main.get_command(app).commands
    for line in block.commands:
        program, *arguments = shlex.split(line)
        assert program in PROGRAMS, line
        if program == "segbench":
            ordered, _ = global_options_first(arguments)
            place = next(place for place, word in enumerate(ordered) if word in commands)
            commands[ordered[place]].make_context(ordered[place], [*ordered[place + 1 :]])


def follow(page, folder, install_plugin, run):
    """Do what a page says, from its top to its end, in a folder: write its files and give its commands to `run`."""
    with chdir(folder):
        for block in blocks("python", "yaml", "console", page=page):
            if block.language != "console":
                if block.path:
                    written(block, folder)
                continue
            for line in block.commands:
                program, *arguments = shlex.split(line)
                if program == "pip":
                    link_as_installed(folder / arguments[-1], install_plugin)
                elif program == "segbench":
                    run(arguments)


@pytest.mark.parametrize("page", ["tutorial", "how-to"])
def test_a_page_s_quick_commands_do_what_it_says(page, tmp_path, install_plugin, capsys):
    def run(arguments):
        if arguments[0] in QUICK:
            assert main(arguments) == 0, (arguments, capsys.readouterr().err)

    follow(page, tmp_path, install_plugin, run)


def test_every_command_of_the_skill_succeeds_and_prints_what_it_says(tmp_path, install_plugin, capsys):
    printed = {}

    def run(arguments):
        assert main(arguments) == 0, (arguments, capsys.readouterr().err)
        printed[arguments[0]] = capsys.readouterr().out

    follow("SKILL", tmp_path, install_plugin, run)
    claim = json.loads(printed["compare"])["comparisons"][0]["contrasts"][0]
    assert {"verdict", "difference", "interval", "level", "seeds_needed", "smallest_effect"} <= claim.keys()
    assert (claim["one"], claim["verdict"]) == ("wide", "undecided")
    assert "wide" in printed["report"]


def test_the_skill_says_in_its_head_what_it_is_for():
    _, head, _ = TEXTS["SKILL"].split("---\n", 2)
    assert re.fullmatch(r"name: segbench\ndescription: .{100,1024}\n", head)


def test_the_tutorial_shows_what_is_written_and_printed(tmp_path, capsys):
    assert main(["new", "generator", "my-net", "--into", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.replace(f"{tmp_path}/", "")
    assert printed in TEXTS["tutorial"]
    module = (tmp_path / "my-net" / "my_net" / "__init__.py").read_text()
    assert module in TEXTS["tutorial"]


def test_the_tutorial_shows_what_init_says_and_writes_of_plain_photos(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in range(1, 41):
        for folder, image, ending in (
            ("images", Image.new("RGB", (256, 256)), "jpg"),
            ("masks", black_and_white(), "png"),
        ):
            Path("photos", folder).mkdir(parents=True, exist_ok=True)
            image.save(f"photos/{folder}/{number:04}.{ending}")
    assert main(["init", "photos", "--classes", "[background, nucleus]"]) == 0
    assert capsys.readouterr().out in TEXTS["tutorial"]
    written = Path("photos.yaml").read_text()
    shown = [block.text for block in blocks("text", page="tutorial") if block.text.startswith("datasets:")]
    assert all(text in written for text in shown)


def black_and_white():
    mask = Image.new("L", (256, 256))
    mask.paste(255, (0, 0, 99, 99))
    return mask


@pytest.mark.parametrize("block", blocks("console", page="findings"), ids=named)
def test_the_published_records_say_what_findings_show(block, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for exchange in filter(None, re.split(r"^\$ segbench ", block.text, flags=re.MULTILINE)):
        command, *shown = exchange.splitlines()
        assert main(shlex.split(command)) == 0
        printed = iter(capsys.readouterr().out.splitlines())
        # "..." stands for what is left out, and `in` goes on behind the line that it finds
        assert [line for line in shown if line not in ("", "...") and line not in printed] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", ["tutorial", "how-to"])
def test_all_commands_of_a_page_succeed(page, tmp_path, install_plugin, segbench, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(install_plugin.folder))

    def run(arguments):
        done = segbench(tmp_path, *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)

    follow(page, tmp_path, install_plugin, run)


@pytest.mark.slow
@pytest.mark.usefixtures("my_components")
@pytest.mark.parametrize("block", [block for block in blocks("python") if block.is_plugin], ids=named)
def test_every_plugin_passes_its_checks(block):
    for offer in [offer for offer in load_registry().installed if offer.plugin == Path(block.path).stem]:
        if offer.kind != "dataset" or "root" not in inspect.signature(offer.component.build).parameters:
            results = check_component(offer.kind, offer.full_name)
            assert [result for result in results if result.outcome in FAULTS] == []


def test_a_network_that_starts_from_weights_says_which(tmp_path):
    from safetensors.torch import save_file

    (block,) = [block for block in blocks("python") if block.path == "warm_net.py"]
    [offer] = read_offers(make_file_source(written(block, tmp_path)))
    first = offer.component.build(3, 2)
    save_file(first.body.state_dict(), tmp_path / "body.safetensors")
    second = offer.component.build(3, 2, weights=tmp_path / "body.safetensors")
    assert second.provenance["weights"] == "body.safetensors"
    assert second.body[0].weight.equal(first.body[0].weight)
    with pytest.raises(segbench.WeightsError, match="does not fit"):
        offer.component.build(4, 2, weights=tmp_path / "body.safetensors")


# The names.


def section(title):
    """The text of the reference below a heading, up to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |^## |\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
    assert found, f"docs/reference.md has no heading {title!r}"
    return found[2]


def signature(name, thing):
    """The signature of a function or class as the reference prints it."""
    read = inspect.signature(thing)
    parameters, star = [], False
    for parameter in read.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parameters.append("*")
            star = True
        text = f"{parameter.name}: {annotation(parameter.annotation)}"
        parameters.append(text if parameter.default is parameter.empty else f"{text} = {default(parameter.default)}")
    returned = "" if inspect.isclass(thing) else f" -> {annotation(read.return_annotation)}"
    return f"{name}({', '.join(parameters)}){returned}"


def annotation(stated):
    return stated if isinstance(stated, str) else getattr(stated, "__forward_arg__", None) or stated.__name__


def default(value):
    return {"<factory>": "{}"}.get(repr(value), repr(value).replace("'", '"'))


def in_one_line(text):
    return re.sub(r",? \)", ")", re.sub(r"\s+", " ", text).replace("( ", "("))


def assert_printed(printed, where):
    assert printed in in_one_line(section(where)), f"docs/reference.md, {where!r}, must print: {printed}"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_printed_with_its_signature_and_a_complete_example(hook):
    assert_printed(signature(hook, getattr(contract, hook)), hook)
    assert any(f"def {hook}():" in block.text for block in blocks("python", page="reference"))
    assert f"def {hook}():" in section(hook)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_printed_with_its_signature(name):
    thing = PUBLIC[name]
    section(name)
    if inspect.isroutine(thing) or (inspect.isclass(thing) and has_signature(thing)):
        assert_printed(signature(name.rpartition(".")[2], thing), name)


def has_signature(thing):
    """Whether a class has one of its own: bare exceptions have not."""
    return thing.__init__ is not Exception.__init__ or not issubclass(thing, Exception)


def test_no_name_is_documented_that_is_not_public():
    assert set(re.findall(r"^### (segbench\.\S+)$", REFERENCE, re.MULTILINE)) == set(PUBLIC)


@pytest.mark.parametrize("field", inspect.signature(segbench.Component).parameters)
def test_every_field_of_a_component_is_described(field):
    assert f"| `{field}` |" in section("segbench.Component")


def test_every_check_has_a_row_with_its_docstring_and_every_row_is_a_check():
    rows = re.findall(r"^\| `(\w+)` \| (.+?)(?: \((?:\*\w+\*,? ?)+\))? \|$", section("Checks"), re.MULTILINE)
    assert sorted(rows) == sorted((check.name, in_one_line(check.run.__doc__)) for check in ALL_CHECKS)


def test_every_word_of_the_contract_is_named():
    words = {word for names in VOCABULARY.values() for word in names} | RESERVED_OPTIONS
    assert {word for word in words if f"`{word}`" not in section("Vocabulary")} == set()
    assert {maps for maps in MAPS if f"| `{maps}` |" not in section("Maps")} == set()
    assert {role for role in ROLES if f"| `{role}` |" not in section("segbench_losses")} == set()


# Where the reference describes the attributes of what `build` returns.
DESCRIBED_IN = {
    contract.Generator: "segbench_generators",
    contract.Discriminator: "segbench_discriminators",
    contract.AdversarialLoss: "segbench_losses",
    contract.FileSplit: "segbench.Dataset",
    contract.Dataset: "segbench.Dataset",
}


@pytest.mark.parametrize("protocol", DESCRIBED_IN, ids=lambda protocol: protocol.__name__)
def test_every_attribute_of_what_build_returns_is_described(protocol):
    attributes = inspect.get_annotations(protocol)
    assert attributes
    assert {name for name in attributes if not re.search(rf"`{name}\b", section(DESCRIBED_IN[protocol]))} == set()


def test_every_argument_of_a_loss_is_described():
    arguments = contract.ADVERSARIAL_ARGUMENTS | contract.UNLABELLED_ARGUMENTS
    assert {name for name in arguments if not re.search(rf"\b{name}\b", section("segbench_losses"))} == set()


@pytest.mark.parametrize(
    ("title", "columns"),
    [
        ("Columns of counts.parquet", ["image", *({field.name for field in fields(Counts)} - {"ids", "folds"})]),
        ("Scores of every image and class", [*CELL_COLUMNS, *IMAGE_COLUMNS]),
        ("Columns of `cells()`", CELL_COLUMNS_OF_RECORDS),
        ("Columns of `per_class()`", CLASS_COLUMNS),
        ("Columns of `curves()`", CURVE_COLUMNS),
    ],
)
def test_every_column_is_described(title, columns):
    text = (
        section("segbench.Results").partition(title)[2].partition("\nColumns of")[0]
        if "()" in title
        else section(title)
    )
    described = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(described))) == set(columns)


def test_every_column_of_csv_is_described():
    text = section("segbench.Results").partition("Columns of `table()`")[2].partition("\nColumns of")[0]
    described = re.findall(r"`([\w*]+)`", " ".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))
    scores = {f"{name}_{part}" for name in Scores.model_fields for part in ("mean", "sd")}
    patterns = [re.compile(re.sub("KIND", r"\\w+", name).replace("*", r"\w*")) for name in described]
    assert [name for name in {*COLUMNS} - scores if not any(one.fullmatch(name) for one in patterns)] == []


def test_every_environment_variable_is_named_that_is_for_users():
    internal = {"SEGBENCH_DISABLED_BY_OPTION", "SEGBENCH_PLUGIN_FILE_HASHES", "SEGBENCH_PRELOAD"}
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "segbench").rglob("*.py"))
    used = {name for text in sources for name in re.findall(r"\bSEGBENCH_[A-Z_]+\b", text)}
    assert set(re.findall(r"^\| `(SEGBENCH_\w+)` \|", REFERENCE, re.MULTILINE)) == used - internal


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", TEXTS[page]):
        assert not target or target.startswith("http") or (PATHS[page].parent / target).exists(), target


def test_links_into_a_page_lead_to_its_headings():
    for page, text in TEXTS.items():
        for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]*)\)", text):
            headings = re.findall(r"^#+ (.*)$", TEXTS[Path(target).stem] if target else text, re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page}: {target}#{anchor}"
