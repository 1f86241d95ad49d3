"""The run file: one strict YAML page that says what to build. Parsed once, here; code behind it trusts it.

Nothing in a run file says where or how a build runs; that is the command line's part and never enters a recipe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError
from pipeline.names import check_keys, nearest
from pipeline.recipe import config_of, digest, load_step
from pipeline.rules import Condition, Rule, parse_conditions, parse_rules
from pipeline.schema import CANONICAL, SPANS, split_column
from pipeline.stage import Global, Reader, Stage

MiB = 1 << 20
UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12, "kib": 1 << 10, "mib": MiB, "gib": 1 << 30}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source of documents. rank: smaller is preferred as keeper; profile: a word that rules can ask for."""

    name: str
    reader_name: str
    reader: Reader
    reader_config: Any  # Any: each reader has its own config class
    files: tuple[str, ...]
    columns: Mapping[str, str]
    license: str | None = None
    provenance: str | None = None
    rank: int = 0
    profile: str = ""


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
class Edits:
    """Which spans change the text: (span column, kinds or None for all), replacements by kind, trims by rule.

    trims: (rule, span column, kinds); the spans apply only to rows that fail the rule.
    """

    spans: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    replace: Mapping[str, str] = field(default_factory=dict)
    trims: tuple[Rule, ...] = ()

    def columns(self) -> set[str]:
        """Every annotation column that the edited text depends on."""
        found = {column for column, _ in self.spans}
        for rule in self.trims:
            found |= {column for column, _ in rule.trim} | rule.columns()
        return found


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage or a global step as the run file uses it; name is its column prefix."""

    name: str
    module: str
    step: Stage | Global
    config: Any  # Any: each stage has its own config class
    gate: tuple[Condition, ...] = ()
    view: Edits | None = None
    max_failed_share: float = 0.0

    @property
    def is_global(self) -> bool:
        """Whether the step looks across documents."""
        return isinstance(self.step, Global)

    def reads(self) -> set[str]:
        """Columns read in any way: by the step, its gate or its view."""
        extra = {column for condition in self.gate for column in condition.columns()}
        return set(self.step.reads) | extra | (self.view.columns() if self.view else set())


@dataclass(frozen=True, kw_only=True)
class KeepOne:
    """Which member of a cluster stays: `of` names the global step with cluster and pairs, `prefer` the order."""

    step: Step
    of: str
    prefer: tuple[tuple[str, bool], ...]  # column, True when high is better


@dataclass(frozen=True, kw_only=True)
class Release:
    """What a release is called and how it is cut. part_bytes: text per part; seed: of every order in it."""

    name: str
    module: str = "stages.release"
    edits: Edits = field(default_factory=Edits)
    columns: Mapping[str, Any] = field(default_factory=dict)  # Any: a column name, or a mapping for a struct
    seed: int = 0
    part_bytes: int = 256 * MiB
    profile: str = "internal"


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """A parsed run file; `text` is the page as it was read, for the release."""

    path: str
    text: str
    corpus: str
    sources: tuple[Source, ...]
    ingest: Ingest
    annotate: tuple[Step, ...]
    globals: tuple[Step, ...]
    select: tuple[Rule, ...]
    keep_one: KeepOne | None
    mix: Any  # Any: the mix module's own section class
    mix_module: str
    release: Release

    def step(self, name: str) -> Step:
        """The annotate or global entry that writes columns `name.*`."""
        return {step.name: step for step in (*self.annotate, *self.globals)}[name]

    def column_names(self) -> list[str]:
        """Every column that rules, orders and conditions may name."""
        names = [*CANONICAL.names, *VIRTUAL]
        for step in (*self.annotate, *self.globals):
            names += [f"{step.name}.{column}" for column in step.step.writes.names]
        return names


VIRTUAL = ("rank", "profile")
"""Columns that come from the run file's sources at decision time, never stored."""

KEYS = ("corpus", "sources", "ingest", "annotate", "global", "select", "keep_one", "mix", "release", "tokens")
SOURCE_KEYS = (
    "name", "reader", "config", "files", "columns", "license", "provenance", "rank", "profile",
)  # fmt: skip


def parse_bytes(value: int | str, where: str) -> int:
    """Read `64MiB`, `256MB`, `1.5B` or a plain number."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", str(value).strip().lower())
    if not match or match[2] not in UNITS:
        raise ConfigError(
            f"{where}: {value!r} is no amount; expected a number with an optional unit such as 64MiB"
        )
    return int(float(match[1]) * UNITS[match[2]])


def load_run(path: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None) -> RunFile:
    """Parse a run file. overrides: section -> mapping merged over it (for tools that sweep a setting).

    Raises: ConfigError with the place in the file for everything that could be known to be wrong by now.
    """
    path = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
        page = yaml.load(text, Loader=_UniqueKeys)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; name a run file (`bicorpus init` writes one)"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(page, dict):
        raise ConfigError(f"{path}: expected a mapping with the keys {', '.join(KEYS)}")
    check_keys(page, KEYS, path)
    for section, values in (overrides or {}).items():
        page[section] = {**(page.get(section) or {}), **values}
    return _Parser(path, text, page).run_file()


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a repeated key is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.YAMLError(f"key {key!r} appears twice{key_node.start_mark}")
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Parser:
    """One parse of one page; holds what later sections need of earlier ones."""

    def __init__(self, path: str, text: str, page: dict[str, Any]) -> None:
        self.path, self.text, self.page = path, text, page
        self.folder = Path(path).resolve().parent
        self.steps: dict[str, Step] = {}

    def run_file(self) -> RunFile:
        corpus = self.required("corpus", str)
        sources = tuple(self.source(i, entry) for i, entry in enumerate(self.required("sources", list)))
        self.unique([source.name for source in sources], "sources")
        ingest = self.ingest()
        release_page = self.mapping("release")
        select_page = self.page.get("select") or []
        rules = parse_rules(select_page, f"{self.path}: select")
        edits = self.edits(release_page, rules)
        for i, entry in enumerate(self.page.get("annotate") or []):
            self.add(entry, "STAGE", f"annotate[{i}]", edits)
        annotate = tuple(self.steps.values())
        for i, entry in enumerate(self.page.get("global") or []):
            self.add(entry, "GLOBAL", f"global[{i}]", edits)
        globals_ = tuple(step for step in self.steps.values() if step.is_global)
        keep_one = self.keep_one()
        mix_module = "stages.mix"
        mix = load_step(mix_module, "parse", f"{self.path}: mix")(self.mapping("mix"), f"{self.path}: mix")
        run = RunFile(
            path=self.path, text=self.text, corpus=corpus, sources=sources, ingest=ingest, annotate=annotate,
            globals=globals_, select=rules, keep_one=keep_one, mix=mix, mix_module=mix_module,
            release=self.release(release_page, edits, corpus),
        )  # fmt: skip
        self.check_columns(run)
        return run

    def required(self, key: str, kind: type) -> Any:
        value = self.page.get(key)
        if not isinstance(value, kind) or not value:
            noun = "a name" if kind is str else "a list with at least one entry"
            raise ConfigError(f"{self.path}: {key} is {value!r}; expected {noun}")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.page.get(key) or {}
        if not isinstance(value, dict):
            raise ConfigError(f"{self.path}: {key} is {value!r}; expected a mapping")
        return value

    def unique(self, names: list[str], where: str) -> None:
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"{self.path}: {where} has two entries named {name!r}; give one another name"
                )

    def source(self, i: int, entry: Any) -> Source:
        where = f"{self.path}: sources[{i}]"
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} is {entry!r}; expected a mapping with {', '.join(SOURCE_KEYS)}")
        check_keys(entry, SOURCE_KEYS, where)
        for key in ("name", "reader", "files"):
            if not entry.get(key):
                raise ConfigError(f"{where}: {key} is missing; every source needs name, reader and files")
        name = str(entry["name"])
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):
            raise ConfigError(
                f"{where}: name {name!r} may hold letters, digits and _ only (it names shard files)"
            )
        reader: Reader = load_step(entry["reader"], "READER", where)
        files = [entry["files"]] if isinstance(entry["files"], str) else list(entry["files"])
        columns = dict(entry.get("columns") or {})
        known = [
            n
            for n in CANONICAL.names
            if n not in ("doc_id", "source", "text_hash", "input", "input_row", "meta")
        ]
        check_keys([key for key in columns if "." not in key], known, f"{where}.columns")
        return Source(
            name=name, reader_name=entry["reader"], reader=reader,
            reader_config=config_of(reader, entry.get("config"), f"{where}.config"),
            files=tuple(self.input_path(file) for file in files), columns=columns,
            license=entry.get("license"), provenance=entry.get("provenance"),
            rank=int(entry.get("rank", 0)), profile=str(entry.get("profile", "")),
        )  # fmt: skip

    def input_path(self, path: str) -> str:
        return path if "://" in path else os.path.join(self.folder, os.path.expanduser(path))

    def ingest(self) -> Ingest:
        page = self.mapping("ingest")
        check_keys(page, Ingest.__dataclass_fields__, f"{self.path}: ingest")
        sizes = {
            key: parse_bytes(value, f"{self.path}: ingest.{key}")
            for key, value in page.items()
            if "bytes" in key
        }
        return Ingest(**{**page, **sizes})

    def edits(self, page: dict[str, Any], rules: tuple[Rule, ...]) -> Edits:
        where = f"{self.path}: release.edits"
        spans = []
        for name, kinds in (page.get("edits") or {}).items():
            column = name if "." in name else f"{name}.spans"
            if kinds != "all" and not (isinstance(kinds, list) and kinds):
                raise ConfigError(f"{where}.{name} is {kinds!r}; expected `all` or a list of span kinds")
            spans.append((column, None if kinds == "all" else tuple(kinds)))
        replace = {str(kind): str(text) for kind, text in (page.get("replace") or {}).items()}
        return Edits(
            spans=tuple(sorted(spans)), replace=replace, trims=tuple(r for r in rules if r.action == "trim")
        )

    def add(self, entry: Any, attribute: str, place: str, edits: Edits) -> None:
        where = f"{self.path}: {place}"
        entry = {"use": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not entry.get("use"):
            raise ConfigError(f"{where} is {entry!r}; expected at least `use: module.name`")
        check_keys(entry, ("use", "config", "gate", "view", "as", "max_failed_share"), where)
        step = load_step(entry["use"], attribute, where)
        name = entry.get("as") or step.name
        if name in self.steps:
            raise ConfigError(f"{where}: {name!r} is used twice; give one of them another name with `as`")
        settings = dict(entry.get("config") or {})
        for key in step.files:
            if key in settings:
                settings[key] = self.resolve_files(settings[key], f"{where}.config.{key}")
        self.steps[name] = Step(
            name=name, module=entry["use"], step=step, config=config_of(step, settings, f"{where}.config"),
            gate=parse_conditions(entry.get("gate") or {}, f"{where}.gate"),
            view=self.view(entry.get("view"), where, edits),
            max_failed_share=float(entry.get("max_failed_share", 0.0)),
        )  # fmt: skip

    def view(self, value: Any, where: str, edits: Edits) -> Edits | None:
        if value is None:
            return None
        if value == "release":
            return edits
        if not isinstance(value, list):
            raise ConfigError(f"{where}.view is {value!r}; expected `release` or a list of stages with spans")
        return Edits(spans=tuple(sorted((n if "." in n else f"{n}.spans", None) for n in value)))

    def resolve_files(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self.resolve_files(item, where) for item in value]
        path = os.path.join(self.folder, os.path.expanduser(str(value)))
        if not os.path.exists(path):
            raise ConfigError(f"{where}: {path} does not exist; name a file relative to the run file")
        return path

    def keep_one(self) -> KeepOne | None:
        page = self.mapping("keep_one")
        if not page:
            return None
        where = f"{self.path}: keep_one"
        check_keys(page, ("use", "of", "prefer"), where)
        module = page.get("use", "stages.keepers")
        step = load_step(module, "GLOBAL", where)
        of = str(page.get("of", "dedup"))
        if of not in self.steps:
            raise ConfigError(f"{where}.of: no global step {of!r}{nearest(of, self.steps)}")
        prefer = []
        for item in page.get("prefer") or []:
            if (
                not isinstance(item, dict)
                or len(item) != 1
                or next(iter(item.values())) not in ("high", "low")
            ):
                raise ConfigError(
                    f"{where}.prefer: {item!r}; expected entries such as {{signals.n_chars: high}}"
                )
            ((column, direction),) = item.items()
            prefer.append((str(column), direction == "high"))
        config = config_of(step, {}, where)
        return KeepOne(
            step=Step(name="keepers", module=module, step=step, config=config), of=of, prefer=tuple(prefer)
        )

    def release(self, page: dict[str, Any], edits: Edits, corpus: str) -> Release:
        where = f"{self.path}: release"
        check_keys(page, ("name", "edits", "replace", "columns", "seed", "part_bytes", "profile"), where)
        name = str(page.get("name", corpus))
        if not re.fullmatch(r"[\w.-]+", name):
            raise ConfigError(f"{where}.name: {name!r}; expected letters, digits, dots, dashes and _ only")
        if page.get("profile", "internal") != "internal":
            raise ConfigError(f"{where}.profile: {page['profile']!r}; expected internal")
        part_bytes = parse_bytes(page.get("part_bytes", 256 * MiB), f"{where}.part_bytes")
        return Release(
            name=name, edits=edits, columns=page.get("columns") or {}, seed=int(page.get("seed", 0)),
            part_bytes=part_bytes,
        )  # fmt: skip

    def check_columns(self, run: RunFile) -> None:
        """Every column named anywhere exists, comes earlier than its reader, and spans are spans."""
        known = run.column_names()
        written = set(CANONICAL.names)
        for step in (*run.annotate, *run.globals):
            written |= {f"{step.name}.{column}" for column in step.step.writes.names}
        imported = {key for source in run.sources for key in source.columns if "." in key}
        for step in (*run.annotate, *run.globals):
            self.check_known(step.reads(), written | imported, f"{self.path}: {step.name}")
            for column, _ in step.view.spans if step.view else ():
                self.check_spans(run, column, f"{self.path}: {step.name}.view")
        for rule in run.select:
            self.check_known(rule.columns(), {*known, *imported}, f"{self.path}: select.{rule.name}")
            for column, _ in rule.trim:
                self.check_spans(run, column, f"{self.path}: select.{rule.name}.trim")
            self.check_nulls(run, rule, imported)
        for column, _ in run.release.edits.spans:
            self.check_spans(run, column, f"{self.path}: release.edits")
        if run.keep_one:
            prefer = {column for column, _ in run.keep_one.prefer}
            self.check_known(prefer, {*known, *imported}, f"{self.path}: keep_one.prefer")

    def check_known(self, columns: set[str], known: set[str], where: str) -> None:
        for column in sorted(columns):
            if column not in known:
                raise ConfigError(f"{where}: no column {column!r}{nearest(column, known)}")

    def check_spans(self, run: RunFile, column: str, where: str) -> None:
        stage, name = split_column(column)
        step = self.steps.get(stage or "")
        if step is None or name not in step.step.writes.names or step.step.writes.field(name).type != SPANS:
            raise ConfigError(f"{where}: {column} is no column of spans; name a stage that writes spans")

    def check_nulls(self, run: RunFile, rule: Rule, imported: set[str]) -> None:
        """A rule over a column that may be null must say what null means."""
        if rule.if_null is not None:
            return
        for column in sorted(rule.tested()):
            stage, _ = split_column(column)
            step = self.steps.get(stage or "")
            nullable_row = stage is None and column not in (
                "doc_id",
                "text",
                "source",
                "input",
                "input_row",
                *VIRTUAL,
            )
            if nullable_row or column in imported or (step and (step.gate or step.is_global)):
                raise ConfigError(
                    f"{self.path}: select.{rule.name} reads {column}, which may be null; say `if_null: keep` or "
                    "`if_null: drop`"
                )


def plain_edits(edits: Edits | None) -> object:
    """The part of edits that enters a recipe."""
    if edits is None:
        return None
    kinds = {kind: text for kind, text in edits.replace.items()}
    return [list(edits.spans), kinds, [rule.plain() for rule in edits.trims]]


def ingest_recipe(source: Source, ingest: Ingest) -> str:
    """Hash what shapes a source's shards, input files aside: 32 hex digits."""
    shape = [
        source.name, source.reader_name, source.reader.version, source.reader_config, dict(source.columns),
        source.license, source.provenance, ingest.shard_bytes, ingest.pack_bytes, ingest.max_doc_bytes,
    ]  # fmt: skip
    return digest(shape)
