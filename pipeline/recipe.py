"""Recipes: the hash of everything that determines an output, used as its address; it depends on no path or machine."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import xxhash

from pipeline.errors import ConfigError
from pipeline.model_files import find_model, model_files, named_references
from pipeline.names import MOVED, brief, check_keys, nearest
from pipeline.settings import check_settings
from pipeline.stage import Convert, Derive, Global, Reader, Stage, as_step


def canonical_json(value: object) -> str:
    """Return plain data as JSON with sorted keys, the same for equal data.

    Raises: ConfigError for a value of any other type; its repr may contain an address, which changes from run to run.
    """

    def plain(item: object) -> object:
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            return {f.name: plain(getattr(item, f.name)) for f in dataclasses.fields(item)}
        if isinstance(item, Mapping):
            return {str(key): plain(value) for key, value in item.items()}
        if isinstance(item, (list, tuple)):
            return [plain(value) for value in item]
        if isinstance(item, (set, frozenset)):
            return sorted(plain(value) for value in item)  # type: ignore[type-var]  # strings or numbers
        if item is None or isinstance(item, (str, int, float, bool)):
            return item
        raise ConfigError(
            f"a {type(item).__name__} has no canonical form; use text, numbers, lists or mappings in configs"
        )

    return json.dumps(plain(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """Return the hash of plain data, 32 hex digits: BLAKE2b-128 of its canonical JSON.

    Raises: ConfigError for a value without canonical JSON.
    """
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=16).hexdigest()


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the hash of a file's bytes, 32 hex digits: XXH3-128, cached by path, size and modification time.

    Raises: ConfigError if the file does not exist.
    """
    try:
        stat = os.stat(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; name an existing file") from error
    return _file_digest(os.fspath(path), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _file_digest(path: str, _size: int, _mtime_ns: int) -> str:
    hasher = xxhash.xxh3_128()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def model_digest(reference: str) -> str:
    """Return the hash of the files of a model that are loaded, 32 hex digits; see model_files.

    Raises: ConfigError if the model is not on this machine.
    """
    return digest([[name, file_digest(path)] for name, path in model_files(find_model(reference))])


def table_digest(table: pa.Table) -> str:
    """Return the hash of a table's values, 32 hex digits, regardless of chunks, offsets and padding of buffers."""
    sink = pa.BufferOutputStream()
    compact = pa.Table.from_batches(
        table.combine_chunks().to_batches(), schema=table.schema.remove_metadata()
    )
    with pa.ipc.new_stream(sink, compact.schema) as writer:
        for batch in compact.to_batches():
            writer.write_batch(batch.take(pa.array(range(batch.num_rows), pa.int64())))
    return xxhash.xxh3_128_hexdigest(sink.getvalue())


def config_of(
    step: Stage | Global | Reader | Derive | Convert, settings: Mapping[str, Any] | None, where: str
) -> Any:
    """Return the config of a step with the settings of a run file.

    Args: where, the name of the settings in errors.
    Raises: ConfigError if a setting is unknown, naming the most similar one, or has a wrong value.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigError(f"{where} is {brief(settings)}; expected a mapping of settings")
    settings = dict(settings or {})
    fields = {f.name: f for f in dataclasses.fields(step.config)}
    check_keys(settings, fields, where)
    frozen = {key: _freeze(value) for key, value in settings.items()}
    try:
        check_settings(step.config, frozen)
        return step.config(**frozen)
    except (TypeError, ConfigError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _freeze(value: Any) -> Any:
    """Convert lists to tuples, so that a frozen config is hashable where its other values are."""
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value


def named_files(step: Stage | Global, config: Any) -> dict[str, list[str]]:
    """Return the files that a step loads: config field, or "data" for its own -> paths, in the order of the field."""
    files = {}
    for name in step.files:
        value = getattr(config, name)
        values = [value] if isinstance(value, (str, os.PathLike)) else value or ()
        values = values.values() if isinstance(values, Mapping) else values
        files[name] = [os.fspath(item) for item in values]
    if step.data:
        files["data"] = list(step.data)
    return files


def step_recipe(step: Stage | Global, config: Any, upstream: Iterable[str], extra: object = None) -> str:
    """Return the recipe of a step: the hash of its name, version, config, digests of files, upstream recipes.

    Args: upstream, recipes of the annotations that the step reads, in the order of `reads`; extra, further settings of
    the run file (gate, view) as plain data.
    Returns: 32 hex digits.
    Raises: ConfigError if a file does not exist.
    """
    return digest([step.name, step.version, plain_settings(step, config), list(upstream), extra])


def plain_settings(step: Stage | Global, config: Any) -> dict[str, Any]:
    """Return the config of a step as plain data, with digests in place of the files and models that it names.

    Raises: ConfigError if a file does not exist.
    """
    plain = dataclasses.asdict(config)
    for name, paths in named_files(step, config).items():
        digests: list[object] = [file_digest(path) for path in paths]
        names = plain.get(name)
        plain[name] = (
            list(zip(names, digests, strict=True)) if names and isinstance(names, Mapping) else digests
        )
    for name in step.models if isinstance(step, Stage) else ():
        references = named_references(getattr(config, name))
        plain[name] = {key: model_digest(reference) for key, reference in references.items()}
    return plain


def named_columns(config: Any, fields: Iterable[str]) -> list[str]:
    """Return the columns that these config fields name, without duplicates."""
    values = [getattr(config, name) for name in fields]
    flat = [item for value in values for item in ((value,) if isinstance(value, str) else value)]
    return list(dict.fromkeys(name for name in flat if name))


def reading_named(step: Stage | Global, config: Any) -> Stage | Global:
    """Return the step with the columns of its config; see Stage.columns, Global.named, reads_of and writes_of."""
    if isinstance(step, Stage):
        if step.columns is None:
            return step
        reads, writes = step.columns(config)
        return replace(step, reads=reads, writes=writes)
    if not isinstance(step, Global):
        return step
    if step.reads_of is not None:
        step = replace(step, reads=step.reads_of(config))
    if step.writes_of is not None:
        step = replace(step, writes=step.writes_of(config))
    more = named_columns(config, step.named)
    return (
        replace(step, reads=(*step.reads, *(name for name in more if name not in step.reads)))
        if more
        else step
    )


_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<base>[\w.]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n#]*)"
    r"|import[ \t]+(?P<modules>[\w., ]+))",
    re.MULTILINE,
)
STEP_PACKAGES = ("stages", "classifiers")
"""Packages whose modules belong to the code of a step, in addition to the package of its own module."""


def source_digest(module: str) -> str:
    """Return the hash of the source of a step's module and of all modules of STEP_PACKAGES that it imports.

    Import statements are found in the text of a file, also within functions. The digest is recorded so that `plan` can
    warn about changed code; it is not part of a recipe.

    Args: module, the dotted name of the step's module.
    Returns: 32 hex digits.
    """
    packages = {*STEP_PACKAGES, module.partition(".")[0]} - {"pipeline"}
    waiting, digests = [module], dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name in digests or name.partition(".")[0] not in packages:
            continue
        if (path := _source_file(name)) is None:
            continue
        digests[name] = file_digest(path)
        waiting += _imports(path, digests[name], name)
    return digest(digests)


@functools.lru_cache(maxsize=4096)
def _source_file(module: str) -> str | None:
    """Return the file of a module; None if there is no such module or it is not Python source."""
    try:
        spec = importlib.util.find_spec(module)
    except (
        ImportError,
        AttributeError,
        ValueError,
    ):  # a name that is not a module: `from module import function`
        return None
    return spec.origin if spec and spec.origin and spec.origin.endswith(".py") else None


@functools.lru_cache(maxsize=4096)
def _imports(path: str, _digest: str, module: str) -> list[str]:
    """Return the dotted names that a source file may import: modules, names imported from them, and parent packages."""
    imported = [module.rpartition(".")[0]] if "." in module else []
    for match in _IMPORT.finditer(Path(path).read_text(encoding="utf-8")):
        if match["modules"]:
            imported += [name.split()[0] for name in match["modules"].split(",") if name.strip()]
            continue
        base = match["base"]
        if base.startswith("."):
            level = len(base) - len(base.lstrip("."))
            above = module.split(".") if path.endswith("__init__.py") else module.split(".")[:-1]
            base = ".".join([*above[: len(above) - level + 1], *filter(None, [base.lstrip(".")])])
        names = re.findall(r"(\w+)(?:[ \t]+as[ \t]+\w+)?", re.sub(r"#[^\n]*", "", match["names"]))
        imported += [base, *(f"{base}.{name}" for name in names)]
    return imported


EXTRAS = {
    "models": ("torch", "transformers"), "kenlm": ("kenlm", "sentencepiece"), "pdf": ("pypdfium2",),
}  # fmt: skip
"""Extras of this package, with the modules that they install and that a step may require."""


def load_step(name: str, attribute: str, where: str, *others: str) -> Any:
    """Import the module `name` and return its STAGE, GLOBAL, READER, DERIVE or CONVERT.

    A name without a dot that no module has is the name of a step: `quality` is `classifiers.quality`.

    Args: where, the setting that an error names; others, attributes to try in order if the module lacks `attribute`.
    Raises: ConfigError if `name` is no name, there is no such module (with the folders that were searched, and its new
    name if it was renamed, or the most similar one) or attribute, or a package that it requires is not installed.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
        raise ConfigError(
            f"{where}: {brief(name)} is no module; expected a dotted name, such as stages.signals"
        )
    name = full_name(name, (attribute, *others))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            if name in MOVED:
                raise ConfigError(f"{where}: {name} has moved: use {MOVED[name]}") from error
            if other := _hides_ours(name.partition(".")[0]):
                raise ConfigError(
                    f"{where}: no module {name!r}: {other} hides the package of bicorpus; rename it, or remove its "
                    "parent from PYTHONPATH"
                ) from error
            raise ConfigError(
                f"{where}: no module {name!r}{_similar_module(name, (attribute, *others))}; looked in "
                f"{', '.join(_searched())}"
            ) from error
        raise ConfigError(f"{where}: {name} needs {error.name!r}, which is not installed") from error
    step = as_step(next((vars(module)[a] for a in (attribute, *others) if a in vars(module)), None), name)
    if step is None:
        hint = _stage_of_function(module) if attribute == "STAGE" else ""
        raise ConfigError(f"{where}: {name} has no {attribute}; expected a module that defines one{hint}")
    if missing := absent(step):
        extra = next((f": pip install 'bicorpus[{e}]'" for e, m in EXTRAS.items() if missing[0] in m), "")
        raise ConfigError(f"{where}: {name} needs {missing[0]!r}, which is not installed{extra}")
    return step


def _stage_of_function(module: ModuleType) -> str:
    """How a function of a module becomes a stage; empty if it has none with parameters."""
    functions = [
        f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__
    ]
    own = next((f.__name__ for f in functions if inspect.signature(f).parameters), None)
    return f", such as `STAGE = each({own})` with `from bicorpus import each`" if own else ""


ATTRIBUTES = ("STAGE", "GLOBAL", "READER", "DERIVE", "CONVERT")
"""What a module of a step defines."""

_STEP = re.compile(rf"^({'|'.join(ATTRIBUTES)})\b[^=\n]*=\s*\w+\(\s*name=\"(\w+)\"", re.MULTILINE)


@functools.cache
def step_modules() -> dict[tuple[str, str], str]:
    """Return the modules of this package that define steps: (attribute, name of the step) -> dotted name.

    The files are read, not imported, so that a name costs no import of the others.
    """
    root = Path(__file__).resolve().parent.parent
    modules: dict[tuple[str, str], str] = {}
    for path in sorted(path for package in STEP_PACKAGES for path in (root / package).rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for attribute, name in _STEP.findall(path.read_text("utf-8")):
            modules.setdefault((attribute, name), module)
    return modules


def full_name(name: str, attributes: Iterable[str]) -> str:
    """Return the module of a step that is named without a dot.

    A module of that name in a folder of one's own precedes the step; an installed package (`fasttext`) does not.

    Args: attributes, of the module, in the order in which they are tried.
    """
    modules = step_modules() if "." not in name else {}
    module = next((modules[a, name] for a in attributes if (a, name) in modules), None)
    if module is None:
        return name
    own = _source_file(name)
    return module if own is None or _is_installed(own) else name


def add_module_folder(folder: str | os.PathLike[str]) -> None:
    """Let modules beside a run file be imported, after those of all other folders; workers inherit the list."""
    path = os.path.abspath(folder)
    if path not in map(os.path.abspath, sys.path):
        sys.path.append(path)
        importlib.invalidate_caches()


def _searched() -> list[str]:
    """Folders in which modules are searched, for a message: without those of Python itself; packages as one."""
    own = [os.path.abspath(folder) for folder in sys.path if folder and not folder.endswith(".zip")]
    rest = [p for p in own if os.path.isdir(p) and not _is_installed(p)]
    return [*dict.fromkeys(rest), "installed packages"]


def _is_installed(path: str) -> bool:
    is_python = path.startswith(os.path.dirname(os.__file__))
    return is_python or "site-packages" in path or "dist-packages" in path


def _similar_module(name: str, attributes: tuple[str, ...]) -> str:
    """Return the end of a message: the module or step most similar to `name` that defines one of these attributes."""
    modules = {key: module for key, module in step_modules().items() if key[0] in attributes}
    beside = {path.stem for folder in sys.path[-2:] for path in Path(folder or ".").glob("*.py")}
    similar = nearest(name, [*modules.values(), *(step for _, step in modules), *beside])
    return similar.removesuffix("?") + "?" if "did you mean" in similar else ""


def _hides_ours(package: str) -> str | None:
    """Folder of an imported package that has the name of one of bicorpus and is found before it."""
    ours = Path(__file__).resolve().parent.parent / package / "__init__.py"
    path = getattr(sys.modules.get(package), "__file__", None)
    return os.path.dirname(path) if path and ours.exists() and Path(path).resolve() != ours else None


def absent(step: Any) -> list[str]:  # Any: the result of load_step
    """Return the modules that a step requires and that are not installed."""
    return [name for name in getattr(step, "requires", ()) if importlib.util.find_spec(name) is None]


def optional_module(name: str, package: str, extra: str, where: str) -> Any:  # Any: a module without types
    """Import a module that only an extra installs.

    Raises: ConfigError if it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{where} needs {package} ({error}): pip install 'bicorpus[{extra}]'") from error


def package_file(module_file: str, *parts: str) -> str:
    """Return the path of a file that is shipped beside a module."""
    return os.path.normpath(Path(module_file).parent.joinpath(*parts))
