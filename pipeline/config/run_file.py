"""What a run file says, parsed: sources, steps, rules, mixes, release. See load.py for how it is read.

Nothing in a run file says where or how a build runs; that is the command line's part and never enters a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from pipeline.config.quantities import MiB
from pipeline.errors import ConfigError
from pipeline.mix.config import MixSection
from pipeline.recipe import digest, file_digest
from pipeline.rules.rules import Condition, Rule
from pipeline.schema import CANONICAL, HANDED, OWNERS, VIRTUAL
from pipeline.stage import Convert, Derive, Global, Reader, Stage

EDITED = "_edited"
"""Ending of the name of a step that measures once more the documents that lose repeated passages."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source of documents. rank: smaller is preferred as keeper; profile: a word that rules can ask for.

    license, provenance, snapshot: of records that name none. reference: its documents take others out and are in no
    release themselves. follow_links: its globs may match links that lead out of their folder.
    """

    name: str
    reader_name: str
    reader: Reader
    reader_config: Any  # Any: each reader has its own config class
    files: tuple[str, ...]
    columns: Mapping[str, str]
    license: str | None = None
    provenance: str | None = None
    snapshot: str | None = None
    rank: int = 0
    profile: str = ""
    reference: bool = False
    follow_links: bool = False

    def __post_init__(self) -> None:
        if self.snapshot is not None and not (isinstance(self.snapshot, str) and self.snapshot):
            raise ConfigError(
                f"sources.{self.name}.snapshot is {self.snapshot!r}; expected a name in quotes, as 'CC-MAIN-2025-30'"
            )


@dataclass(frozen=True, kw_only=True)
class Ingest:
    """How records become shards. Bytes count UTF-8 text, except pack_bytes: the size of a file as it lies."""

    shard_bytes: int = 256 * MiB
    pack_bytes: int = 64 << 10
    max_doc_bytes: int = 16 * MiB
    max_quarantined_share: float = 0.05

    def __post_init__(self) -> None:
        for name in ("shard_bytes", "max_doc_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"ingest.{name} is {getattr(self, name)}; expected at least 1 byte")
        if not 0 <= self.max_quarantined_share <= 1:
            raise ConfigError(
                f"ingest.max_quarantined_share is {self.max_quarantined_share}; expected 0 to 1"
            )


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What turns whole texts into another form as they are released."""

    module: str
    definition: Convert
    config: Any  # Any: each module has its own config class

    @property
    def labels(self) -> Mapping[str, str]:
        """What the language labels of converted documents become."""
        return self.definition.labels(self.config)

    def plain(self) -> list[Any]:
        """The part that enters a recipe."""
        digests = [file_digest(path) for path in self.definition.data(self.config)]
        return [self.definition.name, self.definition.version, self.config, digests]


@dataclass(frozen=True, kw_only=True)
class Edits:
    """Which spans change the text: (span column, kinds or None for all), replacements by kind, trims by rule.

    trims: (rule, span column, kinds); the spans apply only to rows that fail the rule. convert: applied last.
    """

    spans: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    replace: Mapping[str, str] = field(default_factory=dict)
    trims: tuple[Rule, ...] = ()
    convert: Conversion | None = None

    @property
    def late(self) -> bool:
        """Whether repeated passages are among the edits: which of them go is known after rules and keepers."""
        return any(column.startswith(f"{OWNERS}.") for column, _ in self.spans)

    def early(self) -> Edits:
        """The edits without repeated passages."""
        return replace(self, spans=tuple(s for s in self.spans if not s[0].startswith(f"{OWNERS}.")))

    def of_parents(self) -> Edits:
        """The edits that documents are derived with: the spans known by then.

        What is made of them is converted like any other document, when it is released.
        """
        return replace(self.early(), convert=None)

    def columns(self) -> set[str]:
        """Every annotation column that the edited text depends on."""
        found = {column for column, _ in self.spans} | set(
            self.convert.definition.reads if self.convert else ()
        )
        for rule in self.trims:
            found |= {column for column, _ in rule.trim} | rule.columns()
        return found


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage or a global step as the run file uses it; name is its column prefix.

    base: the base rules, for a global step that reads `passes_base`.
    nullable: its columns may be null even without a gate, as those of an imported table for documents it does not have.
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
        own = set(self.definition.reads) - set(HANDED)
        return own | extra | (self.view.columns() if self.view else set())


@dataclass(frozen=True, kw_only=True)
class StageStep(Step):
    """A stage of a run file: it annotates each document on its own."""

    definition: Stage


@dataclass(frozen=True, kw_only=True)
class GlobalStep(Step):
    """A global step of a run file: it looks across documents."""

    definition: Global


NEW_LOSES, OLD_LOSES, EXCLUDE = "new_loses", "old_loses", "exclude"
MODES = (NEW_LOSES, OLD_LOSES, EXCLUDE)


@dataclass(frozen=True)
class Against:
    """What becomes of documents that an earlier release kept.

    mode: NEW_LOSES, they come before all others in the order of keepers; OLD_LOSES, after all others; EXCLUDE, they
    take others out and are not in this release.
    """

    release: str
    mode: str


@dataclass(frozen=True, kw_only=True)
class Guards:
    """Limits on what copies may take out; None for none. A run that goes beyond one stops before it writes a release.

    largest_cluster: documents of a cluster. source_share, host_share: of the documents of a source or host that pass
    the rules, how many may go as copies; min_documents: smaller sources and hosts are not asked.
    """

    largest_cluster: int | None = None
    source_share: float | None = None
    host_share: float | None = None
    min_documents: int = 100


@dataclass(frozen=True, kw_only=True)
class KeepOne:
    """Which copy stays, by the order `prefer`: of documents, and of passages.

    of: the global step with cluster and pairs; keepers chooses one document of each cluster; either both or none.
    passages: the steps with repeated passages; owners chooses their owners among kept documents, None without passages.
    hashes: columns that say whether two documents have the same text.
    """

    keepers: GlobalStep | None
    of: str | None
    prefer: tuple[tuple[str, bool], ...]  # column, True when high is better
    owners: GlobalStep | None = None
    passages: tuple[str, ...] = ()
    against: Against | None = None
    guards: Guards = field(default_factory=Guards)
    hashes: tuple[str, ...] = ()

    def columns(self) -> set[str]:
        """Annotation columns, and those of `prefer`, that the choice reads."""
        names = {column for column, _ in self.prefer} | set(self.hashes)
        names |= {f"{self.of}.cluster", f"{self.of}.pairs"} if self.of else set()
        return names | {f"{step}.{name}" for step in self.passages for name in ("passages", "n_chars")}


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A source whose documents are made out of those of others. parents: their names."""

    name: str
    module: str
    definition: Derive
    config: Any  # Any: each module has its own config class
    parents: tuple[str, ...]
    rank: int = 0
    profile: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """What a release is called and how it is cut. part_bytes: text per part; seed: of every order in it."""

    name: str
    edits: Edits = field(default_factory=Edits)
    columns: Mapping[str, Any] = field(default_factory=dict)  # Any: a column name, or a mapping for a struct
    seed: int = 0
    part_bytes: int = 256 * MiB
    profile: str = "internal"


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Token files to write: for which mixes, and the config of the module that writes them."""

    mixes: tuple[str, ...]
    module: str
    config: Any  # Any: the module's own config class


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """A parsed run file; `text` is the page as it was read, for the release.

    late: stages that measure once more, those documents that lose repeated passages.
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

    @property
    def owners(self) -> GlobalStep | None:
        """The step that chooses the owners of repeated passages."""
        return self.keep_one.owners if self.keep_one else None

    def standing(self, source: str) -> tuple[int, str]:
        """Rank and profile of a source."""
        return next((rank, profile) for name, rank, profile in self.standings() if name == source)

    def is_reference(self, source: str) -> bool:
        """Whether a source's documents only take others out; of a derived one, whether they come from such only."""
        names = {s.name for s in self.sources if s.reference}
        derived = next((s for s in self.derived if s.name == source), None)
        return source in names or (derived is not None and set(derived.parents) <= names)

    def standings(self) -> list[tuple[str, int, str]]:
        """Name, rank and profile of every source."""
        read = [(s.name, s.rank, s.profile) for s in self.sources]
        return read + [(s.name, s.rank, s.profile) for s in self.derived]

    def annotation_columns(self) -> set[str]:
        """Columns named `stage.column`: those of every step, and scores that came with the records."""
        steps = (*self.annotate, *self.globals, *([self.owners] if self.owners else []))
        written = {f"{step.name}.{column}" for step in steps for column in step.definition.writes.names}
        return written | {key for source in self.sources for key in source.columns if "." in key}

    def column_types(self) -> dict[str, pa.DataType]:
        """Types of the columns that this run computes, of canonical and of virtual ones."""
        types = {f.name: f.type for f in CANONICAL} | {"rank": pa.int32(), "profile": pa.string()}
        for step in (*self.annotate, *self.globals, *([self.owners] if self.owners else [])):
            types |= {f"{step.name}.{f.name}": f.type for f in step.definition.writes}
        return types


def plain_edits(edits: Edits | None) -> object:
    """The part of edits that enters a recipe."""
    if edits is None:
        return None
    kinds = {kind: text for kind, text in edits.replace.items()}
    converted = [edits.convert.plain()] if edits.convert else []
    return [list(edits.spans), kinds, [rule.plain() for rule in edits.trims], *converted]


def ingest_recipe(source: Source, ingest: Ingest) -> str:
    """Hash what shapes a source's shards, input files aside: 32 hex digits."""
    shape = [
        source.name, source.reader.name, source.reader.version, source.reader_config, dict(source.columns),
        source.license, source.provenance, source.snapshot, ingest.shard_bytes, ingest.pack_bytes, ingest.max_doc_bytes,
    ]  # fmt: skip
    return digest(shape)


def derived_inputs(derived: Derived, edits: Edits) -> set[str]:
    """Columns that a derived source rests on."""
    return set(derived.definition.reads) | edits.columns()
