"""Load a run file: one strict YAML document, parsed and checked here once; later code does not check again."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.document import read_document
from pipeline.config.expect import parse_expectations
from pipeline.config.keep_one import parse_keep_one
from pipeline.config.lines import with_line
from pipeline.config.phases import read_steps
from pipeline.config.quantities import (
    MiB,
    parse_boolean,
    parse_bytes,
    parse_choice,
    parse_list,
    parse_mapping,
    parse_share,
    parse_text,
    parse_texts,
    parse_whole,
)
from pipeline.config.run_file import (
    EDITED,
    Conversion,
    Derived,
    Edits,
    GlobalStep,
    Ingest,
    Release,
    RunFile,
    Source,
    StageStep,
    Step,
    Tokens,
)
from pipeline.config.run_sets import USE, Origins, spelt_out, with_set
from pipeline.config.validate import check_run_file
from pipeline.dataset.imported_table import find_import
from pipeline.dataset.release_schema import COLUMNS
from pipeline.errors import ConfigError
from pipeline.mix.config import MixSection, parse_mix
from pipeline.names import brief, check_keys, is_plain_name, nearest, present_name
from pipeline.pseudonyms import key as pseudonym_key
from pipeline.pseudonyms import wants_key
from pipeline.recipe import add_module_folder, config_of, full_name, load_step, reading_named
from pipeline.rules.language_parts import find_parts
from pipeline.rules.parse import parse_conditions, parse_rules
from pipeline.rules.presets import expand_presets
from pipeline.rules.rules import Condition, Rule
from pipeline.schema import CANONICAL, OWNERS, split_column
from pipeline.settings import check_settings
from pipeline.stage import Derive, Global, Reader, RunContext
from pipeline.storage.store import Store

KEYS = (
    "corpus",
    "use",
    "sources",
    "ingest",
    "annotate",
    "global",
    "select",
    "keep_one",
    "mix",
    "release",
    "tokens",
    "expect",
)
SOURCE_KEYS = (
    "name", "reader", "config", "files", "columns", "license", "provenance", "snapshot", "rank", "profile", "reference",
    "good", "follow_links",
)  # fmt: skip
DERIVED_KEYS = ("name", "derive", "config", "of", "rank", "profile")


def load_run(
    path: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None, store: Store | None = None
) -> RunFile:
    """Parse a run file.

    Args: overrides, section -> mapping merged over it (for tools that sweep a setting); store, needed for the dtypes of
    the imported tables that the run file names.
    Raises: ConfigError with the position in the file for every fault that can be found without reading inputs.
    """
    path = os.fspath(path)
    text, mapping = read_document(path)
    if not isinstance(mapping, dict):
        raise ConfigError(f"{path}: expected a mapping with the keys {', '.join(KEYS)}")
    origins: Origins = {}
    try:
        check_keys(mapping, KEYS, path)
        has_set = USE in mapping
        mapping, origins = with_set(mapping, path)
        for section, values in (overrides or {}).items():
            if isinstance(mapping.get(section) or {}, dict):  # else the parser raises
                mapping[section] = {**(mapping.get(section) or {}), **values}
        run = _Parser(path, text, _with_present_names(mapping, path), store).run_file()
    except ConfigError as error:
        raise type(error)(with_line(str(error), path, text, origins)) from error
    return (
        replace(run, text=spelt_out({key: mapping[key] for key in KEYS if key in mapping}, text))
        if has_set
        else run
    )


def load_column_stage(path: str | os.PathLike[str], column: str) -> tuple[StageStep, str] | None:
    """Parse the one entry of `annotate` that writes a column of the release, and nothing else of a run file.

    Args: column, of the release, such as `language`.
    Returns: the stage with its settings, and the name of the column in it; None if no entry writes the column.
    Raises: ConfigError if the file cannot be read, or the entry is malformed.
    """
    path = os.fspath(path)
    text, sections = read_document(path)
    sections, _ = with_set(parse_mapping(sections, path), path)
    parser = _Parser(path, text, _with_present_names(sections, path), None)
    named = parse_mapping(parser.mapping("release").get("columns"), f"{path}: release.columns")
    step_name, _, stage_column = str(named.get(column, COLUMNS[column])).partition(".")
    entries = [(i, {"use": e} if isinstance(e, str) else e) for i, e in enumerate(parser.entries("annotate"))]
    for i, entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("use"), str):
            continue
        where = f"annotate[{i}]"
        name = entry.get("as") or load_step(entry["use"], "STAGE", f"{path}: {where}").name
        if name == step_name:
            parser.add({**entry, "view": None}, "STAGE", where, Edits())
            step = parser.steps[name]
            return (step, stage_column) if isinstance(step, StageStep) else None
    return None


def _with_present_names(sections: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the sections, changed in place to the present names of modules; malformed entries are left as they are.

    From here on, modules beside the run file can be imported.
    """
    add_module_folder(Path(path).resolve().parent)
    for section in ("annotate", "global"):
        entries = sections.get(section)
        if not isinstance(entries, list):
            continue
        for i, entry in enumerate(entries):
            where = f"{path}: {section}[{i}]"
            if isinstance(entry, str):
                entries[i] = _module_of(entry, where, section)
            elif isinstance(entry, dict) and isinstance(entry.get("use"), str):
                entry["use"] = _module_of(entry["use"], where, section)
    if isinstance(sections.get("tokens"), dict) and isinstance(sections["tokens"].get("use"), str):
        sections["tokens"]["use"] = present_name(sections["tokens"]["use"], f"{path}: tokens")
    return sections


def _module_of(name: str, where: str, section: str) -> str:
    """The dotted name of a step that is named by its module, a former name of it, or its own name."""
    attributes = ("STAGE",) if section == "annotate" else ("GLOBAL", "STAGE")
    return full_name(present_name(name, where), attributes)


def _is_derived(entry: Any) -> bool:  # Any: a YAML value
    return isinstance(entry, dict) and "derive" in entry


class _Parser:
    """Parses one run file; keeps the results of earlier sections that later ones need.

    Every method raises ConfigError for a fault in its section.
    """

    def __init__(self, path: str, text: str, sections: dict[str, Any], store: Store | None) -> None:
        self.path, self.text, self.sections, self.store = path, text, sections, store
        self.folder = Path(path).resolve().parent
        self.steps: dict[str, Step] = {}
        self.rules: tuple[Rule, ...] = ()
        self.late: list[str] = []

    def run_file(self) -> RunFile:
        """Parse every section in order of dependency, then check the whole."""
        corpus = self.required("corpus", str)
        entries = list(enumerate(self.required("sources", list)))
        sources = tuple(self.source(i, entry) for i, entry in entries if not _is_derived(entry))
        derived = tuple(self.derived(i, entry, sources) for i, entry in entries if _is_derived(entry))
        self.unique([*(s.name for s in sources), *(s.name for s in derived)], "sources")
        ingest = self.ingest()
        release_section = self.mapping("release")
        select_section = expand_presets(self.entries("select"), f"{self.path}: select")
        parts = find_parts(self.sections.get("annotate"), f"{self.path}: annotate")
        rules = tuple(rule.by_part(parts) for rule in parse_rules(select_section, f"{self.path}: select"))
        self.rules = rules
        edits = self.edits(release_section, rules)
        for i, entry in enumerate(self.entries("annotate")):
            if isinstance(entry, dict) and "import" in entry:
                self.add_import(entry, f"{self.path}: annotate[{i}]", sources)
            else:
                self.add(entry, "STAGE", f"annotate[{i}]", edits)
        for i, entry in enumerate(self.entries("global")):
            self.add(entry, "GLOBAL", f"global[{i}]", edits)
        annotate = tuple(step for step in self.steps.values() if isinstance(step, StageStep))
        for step in annotate:
            self.add_needed(step, edits)
        self.resolve_globals(release_section)
        globals_ = tuple(step for step in self.steps.values() if isinstance(step, GlobalStep))
        release = self.release(release_section, edits, corpus)
        keep_one = parse_keep_one(
            self.mapping("keep_one"), self.steps, f"{self.path}: keep_one", release.name
        )
        mix = parse_mix(self.mapping("mix"), f"{self.path}: mix")
        run = RunFile(
            path=self.path, text=self.text, corpus=corpus, sources=sources, ingest=ingest, annotate=annotate,
            globals=globals_, select=rules, keep_one=keep_one, mix=mix,
            release=release, tokens=self.tokens(mix), derived=derived,
            late=tuple(self.late_step(step, edits) for step in annotate if step.name in self.late),
            expect=parse_expectations(self.entries("expect"), f"{self.path}: expect"),
        )  # fmt: skip
        check_run_file(run)
        return run

    def required(self, key: str, expected_type: type) -> Any:
        """A required section, not empty."""
        value = self.sections.get(key)
        if not isinstance(value, expected_type) or not value:
            noun = "a name" if expected_type is str else "a list with at least one entry"
            raise ConfigError(f"{self.path}: {key} is {brief(value)}; expected {noun}")
        return value

    def entries(self, key: str) -> list[Any]:
        """A section that is a list, empty when it is absent."""
        return parse_list(self.sections.get(key), f"{self.path}: {key}")

    def mapping(self, key: str) -> dict[str, Any]:
        """A section that is a mapping, empty when it is absent."""
        return parse_mapping(self.sections.get(key), f"{self.path}: {key}")

    def unique(self, names: list[str], where: str) -> None:
        """Raise ConfigError for the first repeated name."""
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"{self.path}: {where} has two entries named {name!r}; rename one of them")

    def source(self, i: int, entry: Any) -> Source:
        """Parse one entry of `sources` with files."""
        where = f"{self.path}: sources[{i}]"
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} is {brief(entry)}; expected a mapping with {', '.join(SOURCE_KEYS)}")
        check_keys(entry, SOURCE_KEYS, where)
        for key in ("name", "reader", "files"):
            if not entry.get(key):
                raise ConfigError(f"{where}: {key} is missing; every source needs name, reader and files")
        name = parse_text(entry["name"], f"{where}.name")
        if not is_plain_name(name):
            raise ConfigError(
                f"{where}: name {name!r} may contain letters, digits and _ only, up to 100 bytes in NFC (shard files "
                "are named after it)"
            )
        reader: Reader = load_step(entry["reader"], "READER", where)
        files = parse_texts(entry["files"], f"{where}.files")
        columns = _columns(entry.get("columns"), f"{where}.columns")
        allowed = [
            n
            for n in CANONICAL.names
            if n not in ("doc_id", "source", "text_hash", "input", "input_row", "meta")
        ]
        check_keys([key for key in columns if "." not in key], allowed, f"{where}.columns")
        return Source(
            name=name, reader_name=entry["reader"], reader=reader,
            reader_config=config_of(reader, entry.get("config"), f"{where}.config"),
            files=tuple(self.input_path(file) for file in files), columns=columns,
            **{key: parse_text(entry[key], f"{where}.{key}")
               for key in ("license", "provenance", "snapshot", "profile") if entry.get(key) is not None},
            rank=parse_whole(entry.get("rank", 0), f"{where}.rank"),
            reference=parse_boolean(entry.get("reference", False), f"{where}.reference"),
            good=parse_boolean(entry.get("good", False), f"{where}.good"),
            follow_links=parse_boolean(entry.get("follow_links", False), f"{where}.follow_links"), inputs=None,
        )  # fmt: skip

    def derived(self, i: int, entry: dict[str, Any], sources: tuple[Source, ...]) -> Derived:
        """Parse one entry of `sources` with `derive`."""
        where = f"{self.path}: sources[{i}]"
        check_keys(entry, DERIVED_KEYS, where)
        name = parse_text(entry.get("name"), f"{where}.name")
        if not is_plain_name(name):
            raise ConfigError(
                f"{where}: name {name!r} must consist of letters, digits and _, up to 100 bytes in NFC"
            )
        step: Derive = load_step(entry["derive"], "DERIVE", where)
        source_names = [source.name for source in sources]
        parents = parse_texts(entry.get("of"), f"{where}.of") or source_names
        for parent in parents:
            if parent not in source_names:
                raise ConfigError(
                    f"{where}.of: no source {parent!r} with files{nearest(str(parent), source_names)}"
                )
        config = config_of(step, entry.get("config"), f"{where}.config")
        return Derived(
            name=name, module=entry["derive"], definition=step, config=config,
            parents=tuple(parents), rank=parse_whole(entry.get("rank", 0), f"{where}.rank"),
            profile=parse_text(entry["profile"], f"{where}.profile") if entry.get("profile") else "",
        )  # fmt: skip

    def input_path(self, path: str) -> str:
        """Resolve a path relative to the run file; a URL is returned unchanged."""
        return path if "://" in path else os.path.join(self.folder, os.path.expanduser(path))

    def ingest(self) -> Ingest:
        """Parse the section `ingest`."""
        section = self.mapping("ingest")
        check_keys(section, Ingest.__dataclass_fields__, f"{self.path}: ingest")
        sizes: dict[str, Any] = {  # Any: whole numbers and a share
            key: parse_bytes(value, f"{self.path}: ingest.{key}")
            for key, value in section.items()
            if "bytes" in key
        }
        if "max_quarantined_share" in section:
            share = section["max_quarantined_share"]
            sizes["max_quarantined_share"] = parse_share(share, f"{self.path}: ingest.max_quarantined_share")
        if "max_broken_records" in section:
            where = f"{self.path}: ingest.max_broken_records"
            sizes["max_broken_records"] = parse_whole(section["max_broken_records"], where)
        try:
            return Ingest(**{**section, **sizes})
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error

    def edits(self, section: dict[str, Any], rules: tuple[Rule, ...]) -> Edits:
        """Parse the edits of `release`, and add the trim rules of `select`."""
        where = f"{self.path}: release.edits"
        spans = []
        for name, kinds in parse_mapping(section.get("edits"), where).items():
            column = name if "." in name else f"{name}.spans"
            if kinds != "all" and not (
                isinstance(kinds, list) and kinds and all(isinstance(k, str) for k in kinds)
            ):
                raise ConfigError(f"{where}.{name} is {brief(kinds)}; expected `all` or a list of span kinds")
            spans.append((column, None if kinds == "all" else tuple(kinds)))
        replace = parse_mapping(section.get("replace"), f"{self.path}: release.replace")
        for kind, text in replace.items():
            if not isinstance(text, str):
                raise ConfigError(
                    f"{self.path}: release.replace.{kind} is {brief(text)}; expected text in quotes"
                )
        if wants_key(replace.values()):
            pseudonym_key()  # a missing key stops the run before any work
        return Edits(
            spans=tuple(sorted(spans)), replace=replace, trims=tuple(r for r in rules if r.action == "trim"),
            convert=self.conversion(section.get("convert")),
        )  # fmt: skip

    def conversion(self, entry: Any) -> Conversion | None:
        """Parse `convert` of `release`: a module, alone or with its settings."""
        where = f"{self.path}: release.convert"
        if entry is None:
            return None
        entry = {"use": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not entry.get("use"):
            raise ConfigError(f"{where} is {brief(entry)}; expected at least `use: module.name`")
        check_keys(entry, ("use", "config"), where)
        step = load_step(entry["use"], "CONVERT", where)
        config = config_of(step, entry.get("config"), f"{where}.config")
        return Conversion(module=entry["use"], definition=step, config=config)

    def add(self, entry: Any, attribute: str, label: str, edits: Edits) -> None:
        """Add one entry of `annotate` or `global`; a stage may be named under either."""
        where = f"{self.path}: {label}"
        entry = {"use": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or not entry.get("use"):
            raise ConfigError(f"{where} is {brief(entry)}; expected at least `use: module.name`")
        check_keys(entry, ("use", "config", "gate", "view", "as", "max_failed_share"), where)
        step = load_step(entry["use"], attribute, where, *(("STAGE",) if attribute == "GLOBAL" else ()))
        name = parse_text(entry.get("as", step.name), f"{where}.as")
        if name in self.steps:
            raise ConfigError(f"{where}: {name!r} is used twice; rename one of them with `as`")
        if name in ("keepers", OWNERS) or name.endswith(EDITED):
            raise ConfigError(
                f"{where}: the name {name!r} is reserved for steps that `keep_one` adds; choose another with `as`"
            )
        settings = dict(parse_mapping(entry.get("config"), f"{where}.config"))
        for key in step.files:
            if key in settings:
                settings[key] = self.resolve_files(settings[key], f"{where}.config.{key}")
        for key in getattr(step, "models", ()):
            if key in settings:
                settings[key] = resolve_models(settings[key], self.folder, f"{where}.config.{key}")
        config = config_of(step, settings, f"{where}.config")
        definition = reading_named(step, config)
        common: dict[str, Any] = dict(
            name=name, module=entry["use"], config=config,
            gate=parse_conditions(parse_mapping(entry.get("gate"), f"{where}.gate"), f"{where}.gate"),
            view=self.view(entry.get("view"), where, edits),
            max_failed_share=parse_share(entry.get("max_failed_share", 0), f"{where}.max_failed_share"),
            base=tuple(rule for rule in self.rules if rule.base and "passes_base" in step.reads),
        )  # fmt: skip
        self.steps[name] = (
            GlobalStep(definition=definition, **common)
            if isinstance(definition, Global)
            else StageStep(definition=definition, **common)
        )
        if entry.get("view") == "release" and edits.late:
            self.late.append(name)

    def add_needed(self, step: StageStep, edits: Edits) -> None:
        """Add global steps that a stage depends on and that the run file does not name."""
        for module in step.definition.needs:
            if load_step(module, "GLOBAL", self.path).name not in self.steps:
                self.add(module, "GLOBAL", f"what {step.name} needs", edits)

    def resolve_globals(self, release_section: dict[str, Any]) -> None:
        """Replace settings of global steps that refer to the rest of the run; see Global.resolve."""
        chosen = parse_mapping(release_section.get("columns"), f"{self.path}: release.columns")
        n_tokens = chosen.get("n_tokens", COLUMNS["n_tokens"])
        for name, step in list(self.steps.items()):
            if not isinstance(step, GlobalStep) or step.definition.resolve is None:
                continue
            where = f"{self.path}: {name}.config"
            context = RunContext(
                n_tokens=n_tokens if self.counts_all(n_tokens) else None,
                is_before=partial(self.is_before, name),
                file=partial(self.read_file, where),
                released=partial(self.read_released, where),
            )
            config = step.definition.resolve(step.config, context)
            definition = reading_named(step.definition, config)
            assert isinstance(definition, Global)
            self.steps[name] = replace(step, config=config, definition=definition)

    def counts_all(self, column: object) -> bool:
        """Whether a step writes this column for every document."""
        stage, plain = split_column(column) if isinstance(column, str) else (None, "")
        step = self.steps.get(stage or "")
        return step is not None and plain in step.definition.writes.names and not step.gate

    def is_before(self, step: str, column: str) -> bool:
        """Whether a column does not depend on a step, through any steps between them."""
        waiting, reached = [split_column(column)[0]], set[str]()
        while waiting:
            name = waiting.pop()
            if name is None or name in reached or name not in self.steps:
                continue
            reached.add(name)
            waiting += read_steps(self.steps[name])
        return step not in reached

    def read_file(self, where: str, path: str) -> bytes:
        """Bytes of a file relative to the run file; where, the setting, for errors."""
        full = os.path.join(self.folder, os.path.expanduser(path))
        try:
            return Path(full).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{where}: {full}: {error.strerror}; name a file relative to the run file"
            ) from error

    def read_released(self, where: str, name: str, file: str) -> bytes:
        """Bytes of a file of a finished release of the store; where, the setting, for errors."""
        if self.store is None:
            raise ConfigError(f"{where}: release {name!r} is in a store; name one with --store")
        if not self.store.exists(f"releases/{name}/checksums.sha256"):
            raise ConfigError(
                f"{where}: {self.store.url} has no finished release {name!r}; name one that it has"
            )
        return self.store.get(f"releases/{name}/{file}")

    def late_step(self, step: StageStep, edits: Edits) -> StageStep:
        """A copy of a step for documents from which repeated passages were removed, with all edits of the release."""
        gate = (*step.gate, Condition(column=f"{OWNERS}.n_removed", min=1))
        return replace(step, name=f"{step.name}{EDITED}", gate=gate, view=edits)

    def add_import(self, entry: dict[str, Any], where: str, sources: tuple[Source, ...]) -> None:
        """Add one entry of `annotate` that names an imported table."""
        check_keys(entry, ("import", "as"), where)
        table = parse_text(entry["import"], f"{where}.import")
        if self.store is None:
            raise ConfigError(f"{where}: the import {table!r} is stored in a store; name one with --store")
        name = parse_text(entry.get("as", table), f"{where}.as")
        if name in self.steps or any(c.startswith(f"{name}.") for source in sources for c in source.columns):
            raise ConfigError(f"{where}: {name!r} is used twice; rename one of them with `as`")
        stage, config = find_import(self.store, table, where)
        self.steps[name] = StageStep(
            name=name,
            module="pipeline.dataset.imported_table",
            definition=stage,
            config=config,
            nullable=True,
        )

    def view(self, value: Any, where: str, edits: Edits) -> Edits | None:
        """Parse `view` of an entry: the edits of the release, or all spans of some stages."""
        if value is None:
            return None
        if value == "release":
            return edits.early()
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ConfigError(
                f"{where}.view is {brief(value)}; expected `release` or a list of stages with spans"
            )
        return Edits(spans=tuple(sorted((n if "." in n else f"{n}.spans", None) for n in value)))

    def resolve_files(self, value: Any, where: str) -> Any:
        """Resolve files of a config relative to the run file; they must exist."""
        if isinstance(value, list):
            return [self.resolve_files(item, where) for item in value]
        if isinstance(value, dict):
            return {name: self.resolve_files(item, f"{where}.{name}") for name, item in value.items()}
        path = os.path.join(self.folder, os.path.expanduser(parse_text(value, where)))
        if not os.path.exists(path):
            raise ConfigError(f"{where}: {path} does not exist; name a file relative to the run file")
        return path

    def tokens(self, mix: MixSection) -> Tokens | None:
        """Parse the section `tokens`."""
        section = self.mapping("tokens")
        if not section:
            return None
        where = f"{self.path}: tokens"
        check_keys(section, ("use", "mixes", "count", "config"), where)
        counter = parse_text(section.get("count", "tokens"), f"{where}.count")
        step = self.steps.get(counter)
        if step is None or not hasattr(step.config, "tokenizer"):
            raise ConfigError(
                f"{where}.count: {counter!r} is no stage that counts tokens here; name the annotate entry with "
                "the tokenizer (stages.tokens)"
            )
        mixes = parse_texts(section.get("mixes"), f"{where}.mixes") or [mix.default]
        for name in mixes:
            if name not in mix.mixes:
                raise ConfigError(f"{where}.mixes: no mix {name!r}{nearest(str(name), mix.mixes)}")
        module = section.get("use", "stages.tokens.files")
        settings = {
            **parse_mapping(section.get("config"), f"{where}.config"),
            "tokenizer": step.config.tokenizer,
        }
        config_class = load_step(module, "Config", where)
        check_keys(settings, config_class.__dataclass_fields__, f"{where}.config")
        try:
            check_settings(config_class, settings)
            config = config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error
        return Tokens(mixes=tuple(mixes), module=module, config=config)

    def release(self, section: dict[str, Any], edits: Edits, corpus: str) -> Release:
        """Parse the section `release`."""
        where = f"{self.path}: release"
        check_keys(
            section,
            (
                "name",
                "edits",
                "replace",
                "convert",
                "columns",
                "seed",
                "part_bytes",
                "profile",
                "urls",
                "order",
            ),
            where,
        )
        name = parse_text(section.get("name", corpus), f"{where}.name")
        if not re.fullmatch(r"[^\W_][\w.-]*", name):
            raise ConfigError(
                f"{where}.name: {name!r}; expected a letter or digit, then those, dots, dashes and _"
            )
        profile = parse_choice(section.get("profile", "internal"), ("internal", "public"), f"{where}.profile")
        urls = section.get("urls", "clean" if profile == "public" else "keep")
        urls = parse_choice(urls, ("keep", "clean", "no_query"), f"{where}.urls")
        part_bytes = parse_bytes(section.get("part_bytes", 256 * MiB), f"{where}.part_bytes")
        return Release(
            name=name, edits=edits, part_bytes=part_bytes,
            columns=parse_mapping(section.get("columns"), f"{where}.columns"),
            seed=parse_whole(section.get("seed", 0), f"{where}.seed"), profile=profile, urls=urls,
            order=parse_choice(section.get("order", "hash"), ("hash", "input"), f"{where}.order"),
        )  # fmt: skip


def resolve_models(value: Any, folder: Path, where: str) -> Any:  # Any: YAML
    """Resolve models of a config that are folders relative to the run file; names of a hub stay as they are."""
    if isinstance(value, dict):
        return {name: resolve_models(item, folder, f"{where}.{name}") for name, item in value.items()}
    path = os.path.join(folder, os.path.expanduser(parse_text(value, where)))
    return path if os.path.isdir(path) else value


def _columns(section: Any, where: str) -> dict[str, str | tuple[str, ...]]:  # Any: YAML
    """Parse `columns`: column -> field, or a list of fields to try in order. Raises: ConfigError for anything else."""
    columns: dict[str, str | tuple[str, ...]] = {}
    for column, names in parse_mapping(section, where).items():
        place = f"{where}.{column}"
        has_several = isinstance(names, list) and names
        columns[column] = tuple(parse_texts(names, place)) if has_several else parse_text(names, place)
    return columns
