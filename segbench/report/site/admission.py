"""Which records a leaderboard takes: those of results folders, and of submissions those that hold up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from segbench.errors import RecordError, StatisticsError
from segbench.plan.repeat import check_key
from segbench.report import cell_spec
from segbench.report.ranking.comparable import ROUNDING, check_same_truth, read_own_counts
from segbench.report.ranking.groups import agree
from segbench.report.records import Sources, identity, in_order, read_sources
from segbench.report.submission import ENTRY, find_altered, read_entry
from segbench.stats.scores import per_class, scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from segbench.report.records import Identity
    from segbench.report.submission import Entry
    from segbench.store.counts import Counts
    from segbench.store.record import Record


class Refusal(NamedTuple):
    """What a leaderboard does not take: from which folder, which cell (None: all of it), and why."""

    source: str
    record: Record | None
    reason: str

    def __str__(self) -> str:
        if self.record is None:
            return f"{self.source}: {self.reason}"
        one = self.record
        cell = f"{one.benchmark} / {one.dataset} / {one.method} / seed {one.seed} ({one.key})"
        return f"{self.source}: {cell}: {self.reason}"


@dataclass(frozen=True)
class Admitted:
    """The records that are ranked, the submission that each came with if it did, and what was refused."""

    sources: Sources
    entries: Mapping[Identity, str]
    refusals: tuple[Refusal, ...]


@dataclass
class Standard:
    """What records of one dataset of a benchmark must agree with: those that were taken first.

    `shared` are the protocols and definitions of scores, of which a record must have one.
    """

    fingerprint: str | None
    split: str | None
    classes: list[str] | None
    shared: list[dict[str, Any]] = field(default_factory=list)
    counts: tuple[str, Counts] | None = None


@dataclass(frozen=True)
class Standards:
    """The standard of each dataset (or test fold of one) of each benchmark.

    Where `is_open`, submissions set those that are not there.
    """

    by_data: dict[tuple[str, str, int | None], Standard]
    is_open: bool

    def find(self, record: Record) -> Standard | None:
        """Return the standard for a record; None if it is of no benchmark here."""
        if self.is_open:
            return self.by_data.setdefault(_data(record), _standard(record))
        return self.by_data.get(_data(record))


def admit(directories: Sequence[Path]) -> Admitted:
    """Read results folders and submissions, and check the latter against the former.

    Where no results folder is given, the first submission to a benchmark sets its data and protocol. Raises RecordError
    if a folder is missing, or nothing is left.
    """
    folders = [folder for directory in directories for folder in _expand(directory)]
    own = [folder for folder in folders if not (folder / ENTRY).exists()]
    sources = read_sources(own) if own else Sources((), (), ())
    standards = Standards(_standards(sources), is_open=not own)
    entries: dict[Identity, str] = {}
    refusals: list[Refusal] = []
    for folder in folders:
        if folder not in own:
            taken, refused = _admit_entry(folder, standards)
            refusals += refused
            new = [one for one in taken.records if identity(one) not in sources.cell_folders]
            entries |= {identity(one): folder.name for one in new}
            sources = _join(sources, replace(taken, records=tuple(new)))
    if not sources.records:
        raise RecordError("nothing is left to be shown" + "".join(f"\n  refused: {one}" for one in refusals))
    return Admitted(sources, entries, tuple(refusals))


def _expand(directory: Path) -> list[Path]:
    """Return the submissions in a folder of submissions; else the folder itself."""
    if not directory.is_dir() or (directory / ENTRY).exists():
        return [directory]
    return sorted(path for path in directory.iterdir() if (path / ENTRY).exists()) or [directory]


def _admit_entry(folder: Path, standards: Standards) -> tuple[Sources, list[Refusal]]:
    """Return what holds up of a submission; its upstream cells and what sets a standard are part of that."""
    nothing = Sources((), (), ())
    try:
        entry, sources = read_entry(folder), read_sources([folder])
    except RecordError as error:
        return nothing, [Refusal(folder.name, None, _without_place(str(error), folder))]
    refusals = [Refusal(folder.name, None, f"{one.path.name}: {one.cause}") for one in sources.problems]
    taken: list[Record] = []
    for record in sources.records:
        if record.status != "ok":
            refusals.append(Refusal(folder.name, record, f"its status is {record.status}, so there is no result"))
            continue
        reason = _find_reason(record, folder, entry, sources, standards)
        if reason is None:
            taken.append(record)
        else:
            refusals.append(Refusal(folder.name, record, _without_place(reason, folder)))
    return replace(sources, records=tuple(taken), problems=()), refusals


def _without_place(reason: str, folder: Path) -> str:
    """Return a reason without where a submission lies on the machine of whoever publishes it."""
    return reason.replace(f"{folder}/", "")


def _find_reason(record: Record, folder: Path, entry: Entry, sources: Sources, standards: Standards) -> str | None:
    """Say why a submitted record is refused; None if it holds up."""
    try:
        if altered := find_altered(folder, entry, record, sources.cell_folders[identity(record)]):
            return altered
        check_key(record)
        if record.scores is None:  # images that were generated are not counted
            return None
        counts = read_own_counts(record, sources)
    except RecordError as error:
        return str(error)
    if wrong := find_wrong_scores(record, counts):
        return f"its scores do not follow from its counts: {'; '.join(wrong)}"
    if cell_spec.is_auxiliary(record):
        return None
    standard = standards.find(record)
    if standard is None:
        return f"the results folders hold no {record.benchmark} on {record.dataset} to check it against"
    return _find_deviation(record, counts, standard)


def find_wrong_scores(record: Record, counts: Counts) -> list[str]:
    """Return the scores, and classes of scores, of a record that its counts do not give."""
    found, wrong = scores(counts), []
    for name, claimed in record.scores or ():
        if not _is_equal(claimed, getattr(found, name)):
            wrong.append(f"{name} {_write(claimed)} in the record and {_write(getattr(found, name))} from the counts")
    for name, values in record.per_class or ():
        given = getattr(per_class(counts), name)
        if values is not None and (given is None or not all(map(_is_equal, values, given))):
            wrong.append(f"{name} by class")
    return wrong


def _is_equal(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else abs(one - other) <= ROUNDING * max(1.0, abs(one))


def _write(value: float | None) -> str:
    return "none" if value is None else f"{value:.6f}"


def _standards(sources: Sources) -> dict[tuple[str, str, int | None], Standard]:
    """Return what the records of results folders set; there may be several protocols of one benchmark."""
    found: dict[tuple[str, str, int | None], Standard] = {}
    for record in sources.ranked:
        standard = found.setdefault(_data(record), _standard(record))
        if not cell_spec.is_scored_only(record):
            _add_shared(standard, _shared(record))
        if standard.counts is None and record.scores is not None:
            try:
                standard.counts = (f"{record.method} ({record.key})", read_own_counts(record, sources))
            except RecordError:  # the report says so
                continue
    return found


def _standard(record: Record) -> Standard:
    return Standard(cell_spec.fingerprint(record), cell_spec.split(record), _classes(record), [_shared(record)])


def _add_shared(standard: Standard, shared: dict[str, Any]) -> None:
    if not any(shared == known for known in standard.shared):
        standard.shared.append(shared)


def _find_deviation(record: Record, counts: Counts, standard: Standard) -> str | None:
    """Say in what a record is not of the benchmark; None if it is. Sets the counts of a standard that has none."""
    facts = [
        ("data fingerprint", cell_spec.fingerprint(record), standard.fingerprint),
        ("split", cell_spec.split(record), standard.split),
        ("classes", _classes(record), standard.classes),
    ]
    for name, own, expected in facts:
        if expected is not None and own != expected:
            return f"its {name} {_short(own)} is not the benchmark's, {_short(expected)}"
    shared = _shared(record)
    if not any(agree(shared, known) for known in standard.shared):
        return f"its protocol is not the benchmark's: {_describe_difference(shared, standard.shared[0])}"
    one = f"{record.method} ({record.key})"
    if standard.counts is None:
        standard.counts = (one, counts)
    try:
        check_same_truth({standard.counts[0]: {0: standard.counts[1]}, one: {record.seed: counts}})
    except StatisticsError as error:
        return str(error)
    return None


def _describe_difference(shared: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    keys = sorted(key for key in shared.keys() & known.keys() if shared[key] != known[key])
    return ", ".join(f"{key} {shared[key]} and not {known[key]}" for key in keys)


def _short(value: object) -> str:
    return str(value)[:40]


def _data(record: Record) -> tuple[str, str, int | None]:
    return record.benchmark, record.dataset, cell_spec.test_fold(record)


def _classes(record: Record) -> list[str] | None:
    return record.evaluated.classes if record.evaluated else None


def _shared(record: Record) -> dict[str, Any]:
    definitions = {f"definition of {name}": value for name, value in cell_spec.definitions(record).items()}
    return {**cell_spec.shared_protocol(record), **definitions}


def _join(one: Sources, other: Sources) -> Sources:
    """Return the records of both, in the order in which one folder's are."""
    records = sorted((*one.records, *other.records), key=in_order)
    return Sources(
        tuple(records),
        tuple(dict.fromkeys([*one.folders, *other.folders])),
        (*one.problems, *other.problems),
        {**other.cell_folders, **one.cell_folders},
    )
