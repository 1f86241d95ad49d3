"""datatrove, both ways: its filters as a stage of ours, our stages as a block of its pipelines.

As a stage: runs one datatrove filter on each text; reads text and url; writes whether the filter keeps the document,
the reason that it gives and whether it changed the text. Our text is never changed; what to drop is up to the run file.
As a block: see `block`. Both need the extra `datatrove`; this module imports without it.
Source: github.com/huggingface/datatrove.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.recipe import canonical_json
from pipeline.schema import CANONICAL
from pipeline.stage import Stage

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.filters.base_filter import BaseFilter

SCHEMA = pa.schema({"keep": pa.bool_(), "reason": pa.string(), "edited": pa.bool_()})
"""keep: whether the filter keeps the document. reason: why not, in the filter's words. edited: whether the filter
changed the text."""

FILTERS = "datatrove.pipeline.filters"

INSTALL = "pip install 'bicorpus[datatrove]'"


@dataclass(frozen=True, kw_only=True)
class Config:
    """filter: a filter class by its import path; arguments: what it is made with, plain data only.

    Most filters take a `language` (`eng`, `cmn_Hani`) and judge every text as if it were in it: give each language a
    step of its own, gated by its label. The default is therefore a rule that means the same in all: no placeholder text
    (Raffel et al. 2020, arXiv 1910.10683, section 2.2).
    """

    filter: str = f"{FILTERS}.RegexFilter"
    arguments: Mapping[str, Any] = field(  # Any: plain data, whatever the filter takes
        default_factory=lambda: {"regex_exp": "(?i)lorem ipsum"}
    )

    def __post_init__(self) -> None:
        if not all(part.isidentifier() for part in self.filter.split(".")) or "." not in self.filter:
            raise ConfigError(
                f"datatrove.filter is {self.filter!r}; expected the import path of a class, such as "
                f"{FILTERS}.GopherQualityFilter"
            )
        if not isinstance(self.arguments, Mapping):
            raise ConfigError(f"datatrove.arguments is {self.arguments!r}; expected a mapping")
        try:
            canonical_json(self.arguments)
        except (ValueError, ConfigError) as error:
            raise ConfigError(f"datatrove.arguments: {error}") from error


class Verdicts:
    """A loaded filter. It travels to workers as its config, because filters may hold what does not pickle."""

    def __init__(self, config: Config) -> None:
        self.config, self.filter = config, make_filter(config)

    def __reduce__(self) -> tuple[type[Verdicts], tuple[Config]]:
        return Verdicts, (self.config,)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Judge each text, as a document of its own with its `url` as metadata; null texts get nulls.

        Raises: ConfigError when the filter misses a package, which many notice at their first text only.
        """
        from datatrove.data import Document
        from datatrove.pipeline.filters.base_filter import get_filter_result

        texts, urls = batch["text"].to_pylist(), batch["url"].to_pylist()
        documents = [
            Document(text=text, id="", metadata={"url": url} if url else {})
            for text, url in zip(texts, urls, strict=True)
            if text is not None
        ]
        try:
            answers = self._answers(documents)
        except ImportError as error:
            raise ConfigError(f"{self.config.filter}: {error}; {INSTALL}") from error
        found = zip(documents, map(get_filter_result, answers), strict=True)
        rows: list[dict[str, object]] = []
        for text in texts:
            if text is None:
                rows.append({})
                continue
            document, (keep, reason) = next(found)
            reason = None if keep or reason is None else str(reason)
            rows.append({"keep": bool(keep), "reason": reason, "edited": document.text != text})
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def _answers(self, documents: list[Document]) -> list[Any]:  # Any: see BaseFilter.filter
        size = self.filter.batch_size
        batches = (documents[start : start + size] for start in range(0, len(documents), size))
        return [answer for batch in batches for answer in self.filter.filter_batch(batch)]


def make_filter(config: Config) -> BaseFilter:
    """Import the filter class and make the filter.

    Raises: ConfigError that says what to install or which setting is at fault.
    """
    try:
        from datatrove.pipeline.filters.base_filter import BaseFilter
    except ImportError as error:
        raise ConfigError(f"datatrove: {error}; {INSTALL}") from error
    module, _, name = config.filter.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ConfigError(
            f"datatrove.filter: {config.filter} cannot be imported: {error}; check its name, or {INSTALL}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, BaseFilter)):
        raise ConfigError(
            f"datatrove.filter: {config.filter} is no filter class; {FILTERS} has those of datatrove"
        )
    try:
        return found(**config.arguments)
    except ImportError as error:
        raise ConfigError(f"datatrove.filter: {config.filter}: {error}; {INSTALL}") from error
    except Exception as error:  # constructors of other people's classes may raise anything on a bad argument
        raise ConfigError(
            f"datatrove.arguments: {config.filter} cannot be made with them: {error}"
        ) from error


def block(
    steps: Sequence[tuple[Stage, Any]],  # Any: each stage has its own config class
    *,
    keep: Callable[[Mapping[str, Any]], bool] | None = None,  # Any: metadata values
    batch_rows: int = 1000,
) -> PipelineStep:
    """Make a datatrove block that runs our stages and puts their columns into each document's metadata.

    Columns keep the names that they have in run files, such as `language.label`; binary values become hex digits. A
    stage gets `text`, the document's `id` as doc_id and source_id, other canonical columns from metadata of that name
    (null unless a string), and columns of the stages before it. Text that UTF-8 cannot hold is null to the stages.

    Args: steps, (STAGE, config) in the order to run them; keep, says from its metadata whether a document stays, and
    runs in datatrove's workers, so it must pickle; batch_rows, documents annotated at once, which changes no result.
    Returns: a block for a datatrove pipeline; the order of documents stays.
    Raises: ConfigError if a stage reads what no stage before it writes, or two stages have one name.
    """
    from datatrove.pipeline.base import PipelineStep
    from datatrove.utils.batching import batched

    check_order(stage for stage, _ in steps)

    class Block(PipelineStep):
        name = "bicorpus: " + ", ".join(stage.name for stage, _ in steps)
        type = "🔎 - ANNOTATE"

        def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
            """Annotate the documents of one task; stages load here, once per task."""
            loaded = [(stage, stage.load(config)) for stage, config in steps]
            for documents in batched(data, batch_rows):
                with self.track_time("batch"):
                    add_columns(documents, loaded)
                for document in documents:
                    stays = keep is None or keep(document.metadata)
                    self.stat_update("total", "forwarded" if stays else "dropped")
                    if stays:
                        self.update_doc_stats(document)
                        yield document

    return Block()


def check_order(stages: Iterable[Stage]) -> None:
    """Raise ConfigError for a stage that runs before those it reads, or that comes twice."""
    written, names = set(CANONICAL.names), set[str]()
    for stage in stages:
        if stage.name in names:
            raise ConfigError(f"block: {stage.name} comes twice; put the second one into a block of its own")
        if missing := [column for column in stage.reads if column not in written]:
            raise ConfigError(
                f"block: {stage.name} reads {missing[0]}; put the stage that writes it before it"
            )
        names.add(stage.name)
        written |= {f"{stage.name}.{column}" for column in stage.writes.names}


def add_columns(
    documents: Sequence[Document], loaded: Iterable[tuple[Stage, Callable[[pa.Table], pa.Table]]]
) -> None:
    """Run loaded stages over documents and write each column to their metadata, as `stage.column`."""
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for stage, annotate in loaded:
        for name in stage.reads:
            if name not in columns:
                columns[name] = canonical_column(name, documents)
        table = annotate(pa.table({name: columns[name] for name in stage.reads}))
        for column in table.column_names:
            columns[f"{stage.name}.{column}"] = table[column]
            for document, value in zip(documents, table[column].to_pylist(), strict=True):
                plain = value.hex() if isinstance(value, bytes) else value  # JSON has no bytes
                document.metadata[f"{stage.name}.{column}"] = plain


def canonical_column(name: str, documents: Sequence[Document]) -> pa.Array:
    """A canonical column of documents; numbers that only ingest knows are null."""
    kind = CANONICAL.field(name).type
    if name == "text":
        return pa.array([_as_text(document.text) for document in documents], kind)
    if name in ("doc_id", "source_id"):
        return pa.array([_as_text(document.id) for document in documents], kind)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return pa.nulls(len(documents), kind)
    return pa.array([_as_text(document.metadata.get(name)) for document in documents], kind)


def _as_text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


STAGE = Stage(
    name="datatrove",
    version=1,
    config=Config,
    reads=("text", "url"),
    writes=SCHEMA,
    load=Verdicts,
    requires=("datatrove", "regex"),
)
