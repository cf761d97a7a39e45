"""The program `segbench`: its commands, its exit codes and messages of errors, and options that every command takes."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections import UserDict
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from segbench.errors import SegbenchError

from .encoding import make_output_readable
from .output import BUG, INTERRUPTED, MISTAKE, read_notes, say, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


ANYWHERE = "--plugin FILE, --disable PLUGIN and --debug may stand in every command: see `segbench --help`."
# Each command's function and summary; it is in the module of the command's name.
COMMANDS = {
    "init": ("init", "Write a benchmark file for a folder of images and masks."),
    "run": ("run", "Run a benchmark and print the first screen of its report."),
    "worker": ("worker", "Take cells of a run that was started elsewhere."),
    "watch": ("watch", "Follow a running benchmark, from any terminal or machine."),
    "plan": ("plan", "Show the cells of a benchmark and their keys."),
    "report": ("report", "Print what the records hold: scores, verdicts, failures."),
    "records": ("records", "List the recorded cells: key, status, date, code, size."),
    "compact": ("compact", "Put finished records and their counts into a few files."),
    "remove": ("remove", "Remove recorded cells, with all that belongs to them."),
    "track": ("track", "Mirror recorded cells in TensorBoard or MLflow."),
    "compare": ("compare", "Ask whether one method is better than another, and where."),
    "judge": ("judge", "Let people compare label maps blind, and rank methods by their votes."),
    "rescore": ("rescore", "See what other conventions of mIoU make of recorded counts."),
    "verify": ("verify", "Run recorded cells again and mark those that come out as recorded."),
    "submit": ("submit", "Pack recorded cells for a leaderboard."),
    "leaderboard": ("leaderboard", "Write a folder of pages over benchmarks and methods."),
    "check": ("check", "Check that components keep to their contract."),
    "list": ("list_components", "List the components that plugins offer."),
    "show": ("show", "Show a component and its options."),
    "schema": ("schema", "Print the JSON Schema of benchmark files, for editors."),
    "new": ("new", "Write a package for a component of your own."),
    "prepare": ("prepare", "Download, check and decode a dataset."),
    "predict": ("predict", "Write the label maps that a recorded cell predicts."),
    "export": ("export", "Write a recorded network as a file that needs no segbench."),
    "probe": ("probe", "Ask whether a discriminator can win on how labels are encoded."),
    "score": ("score", "Score and record the label maps of another tool."),
    "time": ("time_methods", "Time methods without training them."),
    "doctor": ("doctor", "Look at devices, versions, folders and plugins."),
}


class Loading(UserDict[str, Any]):
    """The commands by name; the module of one is imported when it is asked for, so that each starts quickly."""

    def __getitem__(self, name: str) -> Any:
        """Return a command."""
        if self.data[name] is None:
            function, summary = COMMANDS[name]
            alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
            module = import_module(f".{name}", __package__)
            alone.command(name, short_help=summary, epilog=ANYWHERE)(getattr(module, function))
            self.data[name] = typer.main.get_command(alone)
        return self.data[name]


class Commands(TyperGroup):
    """The commands of the program; the message about a wrong value says what was given and what is allowed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Loading(dict.fromkeys(COMMANDS))

    def get_params(self, ctx: Any) -> Any:
        """Return the options of the program; their values are left unread while a shell completes."""
        return unread(super().get_params(ctx)) if ctx.resilient_parsing else super().get_params(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; the values of its parameters are left unread while a shell completes."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and ctx.resilient_parsing:
            unread(command.get_params(ctx))
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; BadParameter says what was given and what is allowed."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = reword(error)
            raise


def unread(params: list[Any]) -> list[Any]:
    """Return parameters whose values stay as they are written: to read them, typer would load pydantic."""
    for param in params:
        param.process_value = lambda ctx, value: value
    return params


def reword(error: typer.BadParameter) -> str:
    """Return the message of an error, without the words of pydantic, by which typer reads values."""
    from pydantic import ValidationError

    if not isinstance(error.__cause__, ValidationError):
        return error.message
    detail = error.__cause__.errors()[0]
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return f"{detail['msg'].partition(',')[0].replace('Input should', 'must')}, not {detail['input']!r}"


app = typer.Typer(cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)

_NO_HOME = "Could not determine home directory"  # pathlib's text for ~ without HOME, and for ~nobody
HINT = "--debug shows where"
DEBUG = "--debug"
WITH_VALUE = ("--disable", "--plugin")


def print_version(wanted: bool) -> None:
    """Print the version and end, if wanted."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"segbench {version('segbench')}")
        raise typer.Exit


@app.callback()
def segbench(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    disable: Annotated[
        list[str] | None, typer.Option("--disable", metavar="PLUGIN", help="Leave this plugin out; repeatable.")
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", metavar="FILE", help="Load this .py file as a plugin of its name; repeatable."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Benchmark semantic segmentation methods under one protocol.

    --debug, --disable and --plugin may stand anywhere on the command line.
    """
    check_working_folder()
    apply_plugin_options(disable or (), plugin or ())


def check_working_folder() -> None:
    """Raise SegbenchError if the working folder has been removed: libraries end the process there, or worse."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        name = os.environ.get("PWD", "")
        with suppress(OSError):
            name = os.readlink("/proc/self/cwd").removesuffix(" (deleted)")
        raise SegbenchError(
            f"the working folder {name} has been removed; change to another one and try again"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 2 for a mistake of the user, 70 for a bug, 130 for Ctrl-C."""
    ordered, debug = global_options_first(sys.argv[1:] if arguments is None else arguments)
    enable_crash_stacks()
    make_output_readable()
    with keep_environment():
        return run_guarded(ordered, debug)


def run_guarded(arguments: Sequence[str], debug: bool) -> int:
    """Run the command and return the exit code, also where an error ends it."""
    as_json = asks_for_json(arguments)
    try:
        code = call(arguments, debug, tell=not as_json)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        silence_stdout()
        return 1
    except Exception as error:
        failure = explain(error)
        report_failure(failure, error, debug)
        if as_json:
            say(to_json({"error": failure._asdict()}))
        return BUG if failure.code == "bug" else MISTAKE
    return code


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Tell whether the output shall be JSON, an error too.

    >>> asks_for_json(["report", "--format", "json"]), asks_for_json(["run", "--", "--json"])
    (True, False)
    """
    words = " ".join(arguments[: arguments.index("--") if "--" in arguments else None])
    return not {"--json", "--format=json"}.isdisjoint(words.split()) or "--format json" in words


def call(arguments: Sequence[str], debug: bool, tell: bool) -> int:
    """Run the command and return its exit code; mistakes on the command line are told here, or raised."""
    try:
        end = app(args=arguments, prog_name="segbench", default_map={"run": {"debug": debug}}, standalone_mode=tell)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return end if isinstance(end, int) else 0


class Failure(NamedTuple):
    """An error as programs are told it."""

    code: str
    message: str
    file: str | None = None
    line: int | None = None
    allowed: Sequence[str] = ()


def enable_crash_stacks() -> None:
    """Print the Python stack when native code crashes, such as that of a plugin."""
    if not faulthandler.is_enabled():
        faulthandler.enable(file=2, all_threads=False)  # by its number: sys.stderr may be no file


def silence_stdout() -> None:
    """Discard further output: the reader of the pipe is gone, and the last flush at exit would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report_failure(failure: Failure, error: Exception, debug: bool) -> None:
    """Print the error to stderr, with its traceback if debugging."""
    if debug:
        import traceback

        say("".join(traceback.format_exception(error)), err=True, nl=False)
    say(f"error: {failure.message}", err=True)


def explain(error: Exception) -> Failure:
    """Return what is told of an error, with its notes."""
    failure = classify(error)
    return failure._replace(message="\n".join([failure.message, *read_notes(error)]))


def classify(error: Exception) -> Failure:
    """Return what is told of an error itself; all but "bug" are mistakes of the user or of a plugin."""
    if isinstance(error, SegbenchError):
        return Failure(error.code, str(error), error.file, error.line, error.allowed)
    if (usage := getattr(error, "format_message", None)) is not None:  # of a class that typer keeps to itself
        return Failure("usage", usage())
    if isinstance(error, RuntimeError) and str(error).startswith(_NO_HOME):
        message = "a path begins with ~, and there is no such home folder; write the whole path, or set HOME"
        return Failure("file", message)
    what = f"{type(error).__name__}: {error}"
    plugin = blamed_plugin(error)
    if isinstance(error, OSError) and error.errno is not None:
        message = f"{error}{f', in {plugin}' if plugin else ''} ({HINT})"
        return Failure("file", message, None if error.filename is None else str(error.filename))
    if plugin:
        return Failure("plugin", f"{plugin} failed with {what} ({HINT})")
    return Failure("bug", f"a bug in segbench: {what} ({HINT}; please report it with that)")


def blamed_plugin(error: Exception) -> str | None:
    """Name the plugin whose code the traceback passed through last, if any."""
    from segbench.execute.blame import blame_for_error
    from segbench.registry.plugins import find_sources, name_distributions

    if (name := blame_for_error(error)) is None:
        return None
    return f"plugin {name!r} ({name_distributions(find_sources()[name])})"


def global_options_first(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Move the options of the program to the front, where it accepts them; tell whether `--debug` is among them.

    >>> global_options_first(["run", "x.yaml", "--plugin", "net.py", "--debug", "--", "--debug"])
    (['--plugin', 'net.py', '--debug', 'run', 'x.yaml', '--', '--debug'], True)
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    front: list[str] = []
    rest: list[str] = []
    given = iter(arguments[:end])
    for argument in given:
        if argument == DEBUG or argument.startswith(tuple(f"{option}=" for option in WITH_VALUE)):
            front.append(argument)
        elif argument not in WITH_VALUE:
            rest.append(argument)
        elif (value := next(given, None)) is not None:
            front += [argument, value]
        else:  # alone, so that the message is about its missing value
            return [argument], DEBUG in front
    return [*front, *rest, *arguments[end:]], DEBUG in front


def apply_plugin_options(disable: Sequence[str], files: Sequence[Path]) -> None:
    """Switch plugins off and give plugin files; PluginError for a plugin that does not exist and for a wrong file."""
    if files or os.environ.get("SEGBENCH_PLUGIN_FILES"):
        from segbench.registry import plugin_files
        from segbench.registry.plugins import installed_names

        plugin_files.add_files(files, installed_names())
    if disable:
        from segbench.registry.plugins import check_known, disable_plugins, find_sources

        check_known(disable, find_sources())
        disable_plugins(disable)


@contextmanager
def keep_environment() -> Iterator[None]:
    """Undo at the end what the options of one command changed in the environment."""
    before = _own_variables()
    try:
        yield
    finally:
        for name in _own_variables():
            del os.environ[name]
        os.environ.update(before)


def _own_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("SEGBENCH_")}
