"""A parsed run file: sources, steps, rules, mixes, release. Module `load` parses it.

A run file does not contain where or how a build runs; these are options of the command line and never enter a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipeline.config.expect import Expectation
from pipeline.config.quantities import MiB
from pipeline.errors import ConfigError
from pipeline.mix.config import MixSection
from pipeline.pseudonyms import fingerprint, wants_key
from pipeline.recipe import digest, file_digest
from pipeline.rules.rules import Condition, Rule
from pipeline.schema import CANONICAL, HANDED, OWNERS, VIRTUAL
from pipeline.spans import APPLY_VERSION
from pipeline.stage import Convert, Derive, Global, Reader, Stage
from pipeline.storage.store import InputFile

EDITED = "_edited"
"""Suffix of the name of a step that is re-run on documents from which repeated passages were removed."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source of documents.

    rank: smaller is preferred as keeper; profile: a word that rules can test. license, provenance, snapshot: for
    records without their own. reference: duplicates of its documents are removed, and its documents are in no release.
    good: its documents are known to be good, so the report shows what each rule takes of them; nothing else follows.
    follow_links: its globs may match links that lead out of their folder. columns: column -> field, or fields to try in
    order. inputs: the files to read instead of all that `files` matches; see pipeline.operate.limit.
    """

    name: str
    reader_name: str
    reader: Reader
    reader_config: Any  # Any: each reader has its own config class
    files: tuple[str, ...]
    columns: Mapping[str, str | tuple[str, ...]]
    license: str | None = None
    provenance: str | None = None
    snapshot: str | None = None
    rank: int = 0
    profile: str = ""
    reference: bool = False
    good: bool = False
    follow_links: bool = False
    inputs: tuple[InputFile, ...] | None = None

    def __post_init__(self) -> None:
        if self.snapshot is not None and not (isinstance(self.snapshot, str) and self.snapshot):
            raise ConfigError(
                f"sources.{self.name}.snapshot is {self.snapshot!r}; expected a name in quotes, as 'CC-MAIN-2025-30'"
            )


RECORDS, REASONS = "records", "reasons"


@dataclass(frozen=True, kw_only=True)
class Ingest:
    """How records become shards. Bytes are of UTF-8 text, except pack_bytes: size of a file on disk.

    max_broken_records: so many quarantined records in a row end the reading of a file. quarantine: what is kept of a
    quarantined record: its beginning and a detail of what is wrong (`records`), or the reason alone (`reasons`).
    """

    shard_bytes: int = 256 * MiB
    pack_bytes: int = 1 << 20
    max_doc_bytes: int = 16 * MiB
    max_quarantined_share: float = 0.05
    max_broken_records: int = 250_000
    quarantine: str = RECORDS

    def __post_init__(self) -> None:
        for name in ("shard_bytes", "max_doc_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"ingest.{name} is {getattr(self, name)}; expected at least 1 byte")
        if self.max_broken_records < 1:
            raise ConfigError(f"ingest.max_broken_records is {self.max_broken_records}; expected at least 1")
        if self.quarantine not in (RECORDS, REASONS):
            raise ConfigError(f"ingest.quarantine is {self.quarantine!r}; expected {RECORDS} or {REASONS}")
        if not 0 <= self.max_quarantined_share <= 1:
            raise ConfigError(
                f"ingest.max_quarantined_share is {self.max_quarantined_share}; expected 0 to 1"
            )


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A conversion of whole texts as the last edit of a release."""

    module: str
    definition: Convert
    config: Any  # Any: each module has its own config class

    @property
    def labels(self) -> Mapping[str, str]:
        """Language label -> label of converted documents."""
        return self.definition.labels(self.config)

    def plain(self) -> list[Any]:
        """The plain values that enter a recipe."""
        digests = [file_digest(path) for path in self.definition.data(self.config)]
        return [self.definition.name, self.definition.version, self.config, digests]


@dataclass(frozen=True, kw_only=True)
class Edits:
    """Edits of a text: spans to remove or replace, trims, and a conversion.

    spans: (span column, kinds or None for all). replace: kind -> replacement; spans of other kinds are removed. trims:
    rules whose spans (Rule.trim) apply only to rows that fail them. convert: applied last.
    """

    spans: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    replace: Mapping[str, str] = field(default_factory=dict)
    trims: tuple[Rule, ...] = ()
    convert: Conversion | None = None

    @property
    def late(self) -> bool:
        """Whether repeated passages are among the edits; which are removed is known only after rules and keepers."""
        return any(column.startswith(f"{OWNERS}.") for column, _ in self.spans)

    def early(self) -> Edits:
        """The edits without repeated passages."""
        return replace(self, spans=tuple(s for s in self.spans if not s[0].startswith(f"{OWNERS}.")))

    def of_parents(self) -> Edits:
        """The edits that apply to parents when documents are derived: those known by then, without conversion.

        Derived documents are converted at release, like all others.
        """
        return replace(self.early(), convert=None)

    def columns(self) -> set[str]:
        """Every annotation column that the edited text depends on."""
        names = {column for column, _ in self.spans} | set(
            self.convert.definition.reads if self.convert else ()
        )
        for rule in self.trims:
            names |= {column for column, _ in rule.trim} | rule.columns()
        return names


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage or a global step as the run file uses it; name is its column prefix.

    gate: conditions of the documents to annotate; others are null. view: edits applied to text before the step reads
    it. max_failed_share: of a shard's documents that may raise and become null. base: the base rules, for a global step
    that reads `passes_base`. nullable: its columns may be null even without a gate (an imported table without the
    document).
    """

    name: str
    module: str
    definition: Stage | Global
    config: Any  # Any: each stage has its own config class
    gate: tuple[Condition, ...] = ()
    view: Edits | None = None
    max_failed_share: float = 0.0
    base: tuple[Rule, ...] = ()
    nullable: bool = False

    @property
    def reads_text(self) -> bool:
        """Whether the step reads text, canonical or through its view."""
        return "text" in self.definition.reads or self.view is not None

    def reads(self) -> set[str]:
        """Columns read by the step, its gate, its view or the base rules that it depends on."""
        extra = {column for condition in self.gate for column in condition.columns()}
        extra |= {column for rule in self.base for column in rule.columns()} - set(VIRTUAL)
        definition_columns = set(self.definition.reads) - set(HANDED)
        return definition_columns | extra | (self.view.columns() if self.view else set())


@dataclass(frozen=True, kw_only=True)
class StageStep(Step):
    """A stage of a run file: it annotates each document independently."""

    definition: Stage


@dataclass(frozen=True, kw_only=True)
class GlobalStep(Step):
    """A global step of a run file: it compares or counts documents across shards."""

    definition: Global


NEW_LOSES, OLD_LOSES, EXCLUDE = "new_loses", "old_loses", "exclude"
MODES = (NEW_LOSES, OLD_LOSES, EXCLUDE)


@dataclass(frozen=True)
class Against:
    """How documents that an earlier release kept take part.

    mode: NEW_LOSES, they precede all others in the order of keepers; OLD_LOSES, they follow all others; EXCLUDE,
    duplicates of them are removed, and they are not in this release.
    """

    release: str
    mode: str


@dataclass(frozen=True, kw_only=True)
class Guards:
    """Limits on removed duplicates; None for no limit. A run that exceeds one stops before it writes a release.

    largest_cluster: documents of a cluster. source_share, host_share: of the documents of a source or host that pass
    the rules, the share that may be removed as duplicates; min_documents: smaller sources and hosts are not checked.
    """

    largest_cluster: int | None = None
    source_share: float | None = None
    host_share: float | None = None
    min_documents: int = 100


@dataclass(frozen=True, kw_only=True)
class KeepOne:
    """Which duplicate is kept, by the order `prefer`: of documents, and of repeated passages.

    of: the global step with clusters and pairs; keepers: the step that chooses the kept documents; both or neither is
    None. prefer: (column, whether high is better). passages: steps with repeated passages; owners: the step that
    chooses the occurrences to keep, None without passages. hashes: columns that are equal for documents of the same
    text.
    """

    keepers: GlobalStep | None
    of: str | None
    prefer: tuple[tuple[str, bool], ...]
    owners: GlobalStep | None = None
    passages: tuple[str, ...] = ()
    against: Against | None = None
    guards: Guards = field(default_factory=Guards)
    hashes: tuple[str, ...] = ()

    def columns(self) -> set[str]:
        """Columns that the choice reads: annotations, and those of `prefer`."""
        names = {column for column, _ in self.prefer} | set(self.hashes)
        names |= {f"{self.of}.cluster", f"{self.of}.pairs"} if self.of else set()
        return names | {f"{step}.{name}" for step in self.passages for name in ("passages", "n_chars")}


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A source whose documents are derived from those of other sources. parents: names of these."""

    name: str
    module: str
    definition: Derive
    config: Any  # Any: each module has its own config class
    parents: tuple[str, ...]
    rank: int = 0
    profile: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """Name and settings of a release. part_bytes: text per release file; seed: of every order in it. profile, urls, and
    order (of data/): see `pipeline.release.public`, `pipeline.release.urls` and `pipeline.release.parts`."""

    name: str
    edits: Edits = field(default_factory=Edits)
    columns: Mapping[str, Any] = field(default_factory=dict)  # Any: a column name, or a mapping for a struct
    seed: int = 0
    part_bytes: int = 256 * MiB
    profile: str = "internal"
    urls: str = "keep"
    order: str = "hash"


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Token files to write. mixes: for which; module, config: of the writer."""

    mixes: tuple[str, ...]
    module: str
    config: Any  # Any: the module's own config class


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """A parsed run file.

    text: its content, which the release contains. late: stages that are re-run on documents from which repeated
    passages were removed.
    """

    path: str
    text: str
    corpus: str
    sources: tuple[Source, ...]
    ingest: Ingest
    annotate: tuple[StageStep, ...]
    globals: tuple[GlobalStep, ...]
    select: tuple[Rule, ...]
    keep_one: KeepOne | None
    mix: MixSection
    release: Release
    tokens: Tokens | None
    derived: tuple[Derived, ...] = ()
    late: tuple[StageStep, ...] = ()
    expect: tuple[Expectation, ...] = ()

    @property
    def owners(self) -> GlobalStep | None:
        """The step that chooses the owners of repeated passages."""
        return self.keep_one.owners if self.keep_one else None

    def standing(self, source: str) -> tuple[int, str]:
        """Rank and profile of a source."""
        return self._standing[source]

    @cached_property
    def _standing(self) -> dict[str, tuple[int, str]]:
        """Rank and profile by source: a run asks for each of its shards, and may have thousands of sources."""
        return {name: (rank, profile) for name, rank, profile in reversed(self.standings())}

    def is_reference(self, source: str) -> bool:
        """Whether a source is a reference; a derived one is if all its parents are."""
        return source in self._references

    @cached_property
    def _references(self) -> frozenset[str]:
        """Names of reference sources, and of sources derived from these alone."""
        names = {s.name for s in self.sources if s.reference}
        return frozenset(names | {s.name for s in self.derived if set(s.parents) <= names})

    @cached_property
    def source_of(self) -> dict[str, Source]:
        """The sources that are read, by name."""
        return {source.name: source for source in reversed(self.sources)}

    @cached_property
    def score_columns(self) -> dict[str, pa.DataType]:
        """Columns `stage.column` that sources import with their records, with their dtypes."""
        found = [(c, fields) for s in self.sources for c, fields in s.columns.items() if "." in c]
        return {c: pa.string() if str(f).endswith(":string") else pa.float64() for c, f in found}

    def standings(self) -> list[tuple[str, int, str]]:
        """Name, rank and profile of every source."""
        read = [(s.name, s.rank, s.profile) for s in self.sources]
        return read + [(s.name, s.rank, s.profile) for s in self.derived]

    def good_sources(self) -> list[str]:
        """Names of the sources that are declared good."""
        return [source.name for source in self.sources if source.good]

    def annotation_columns(self) -> set[str]:
        """Columns named `stage.column`: those of every step, and scores imported with the records."""
        steps = (*self.annotate, *self.globals, *([self.owners] if self.owners else []))
        written = {f"{step.name}.{column}" for step in steps for column in step.definition.writes.names}
        return written | {key for source in self.sources for key in source.columns if "." in key}

    def column_types(self) -> dict[str, pa.DataType]:
        """Dtypes of the columns that this run computes, and of canonical and virtual ones."""
        types = {f.name: f.type for f in CANONICAL} | {"rank": pa.int32(), "profile": pa.string()}
        for step in (*self.annotate, *self.globals, *([self.owners] if self.owners else [])):
            types |= {f"{step.name}.{f.name}": f.type for f in step.definition.writes}
        return types


def plain_edits(edits: Edits | None) -> object:
    """The plain values of edits that enter a recipe."""
    if edits is None:
        return None
    kinds = {kind: text for kind, text in edits.replace.items()}
    if wants_key(kinds.values()):
        kinds |= {"": fingerprint()}
    converted = [edits.convert.plain()] if edits.convert else []
    version = [APPLY_VERSION] if edits.spans or edits.trims else []
    return [list(edits.spans), kinds, [rule.plain() for rule in edits.trims], *converted, *version]


def ingest_recipe(source: Source, ingest: Ingest) -> str:
    """Hash all settings that the shards of a source depend on, input files aside: 32 hex digits."""
    shape = [
        source.name, source.reader.name, source.reader.version, source.reader_config, dict(source.columns),
        source.license, source.provenance, source.snapshot, ingest.shard_bytes, ingest.pack_bytes, ingest.max_doc_bytes,
        ingest.max_broken_records,
        *([ingest.quarantine] if ingest.quarantine != RECORDS else []),
    ]  # fmt: skip
    return digest(shape)


def derived_inputs(derived: Derived, edits: Edits) -> set[str]:
    """Columns that a derived source depends on."""
    return set(derived.definition.reads) | edits.columns()
