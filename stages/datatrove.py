"""Interoperation with datatrove: its filters as a stage here, and stages of this package as a block of its pipelines.

As a stage: runs one datatrove filter on each text; reads text and url; writes whether the filter keeps the document,
its reason, and whether it changed the text. The text itself is never changed; which documents are dropped is decided in
the run file. As a block: see `block`. Both need the extra `datatrove`; this module can be imported without it.
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
    """filter: import path of a filter class; arguments: of its constructor, plain data only.

    Most filters take a `language` (`eng`, `cmn_Hani`) and treat every text as if it were in it: use a separate step for
    each language, gated by its label. The default is therefore a rule that is independent of language: no placeholder
    text (Raffel et al. 2020, arXiv 1910.10683, section 2.2).
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
    """A loaded filter. It is pickled as its config, because filters may contain objects that do not pickle."""

    def __init__(self, config: Config) -> None:
        self.config, self.filter = config, make_filter(config)

    def __reduce__(self) -> tuple[type[Verdicts], tuple[Config]]:
        return Verdicts, (self.config,)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Run the filter on each text, as a document with its `url` as metadata.

        Args: batch, with strings `text` and `url`, (n_docs,).
        Returns: a table of SCHEMA, (n_docs,), null for null texts.
        Raises: ConfigError if the filter needs a missing package, which many detect only at their first text.
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
        results = zip(documents, map(get_filter_result, answers), strict=True)
        rows: list[dict[str, object]] = []
        for text in texts:
            if text is None:
                rows.append({})
                continue
            document, (keep, reason) = next(results)
            reason = None if keep or reason is None else str(reason)
            rows.append({"keep": bool(keep), "reason": reason, "edited": document.text != text})
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def _answers(self, documents: list[Document]) -> list[Any]:  # Any: see BaseFilter.filter
        size = self.filter.batch_size
        batches = (documents[start : start + size] for start in range(0, len(documents), size))
        return [answer for batch in batches for answer in self.filter.filter_batch(batch)]


def make_filter(config: Config) -> BaseFilter:
    """Import the filter class and construct the filter.

    Raises: ConfigError if a package is missing, the class is not a filter, or its arguments are wrong.
    """
    try:
        from datatrove.pipeline.filters.base_filter import BaseFilter
    except ImportError as error:
        raise ConfigError(f"datatrove: {error}; {INSTALL}") from error
    module, _, name = config.filter.rpartition(".")
    try:
        filter_class = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ConfigError(
            f"datatrove.filter: {config.filter} cannot be imported: {error}; check its name, or {INSTALL}"
        ) from error
    if not (isinstance(filter_class, type) and issubclass(filter_class, BaseFilter)):
        raise ConfigError(
            f"datatrove.filter: {config.filter} is not a filter class; those of datatrove are in {FILTERS}"
        )
    try:
        return filter_class(**config.arguments)
    except ImportError as error:
        raise ConfigError(f"datatrove.filter: {config.filter}: {error}; {INSTALL}") from error
    except Exception as error:  # constructors of other people's classes may raise anything on a bad argument
        raise ConfigError(
            f"datatrove.arguments: {config.filter} cannot be constructed with them: {error}"
        ) from error


def block(
    steps: Sequence[tuple[Stage, Any]],  # Any: each stage has its own config class
    *,
    keep: Callable[[Mapping[str, Any]], bool] | None = None,  # Any: metadata values
    batch_rows: int = 1000,
) -> PipelineStep:
    """Create a datatrove block that runs stages and adds their columns to each document's metadata.

    Columns have the names used in run files, such as `language.label`; binary values become hex digits. A stage
    receives `text`, the document's `id` as doc_id and source_id, other canonical columns from metadata of the same name
    (null unless a string), and columns of the stages before it. Text that cannot be encoded in UTF-8 becomes null.

    Args: steps, (STAGE, config) in the order to run them; keep, takes a document's metadata and returns whether it is
    kept, and must pickle, because it runs in datatrove's workers; batch_rows, documents annotated at once, which does
    not change the result.
    Returns: a block for a datatrove pipeline, which preserves the order of documents.
    Raises: ConfigError if a stage reads a column that no stage before it writes, or two stages have the same name.
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
                    kept = keep is None or keep(document.metadata)
                    self.stat_update("total", "forwarded" if kept else "dropped")
                    if kept:
                        self.update_doc_stats(document)
                        yield document

    return Block()


def check_order(stages: Iterable[Stage]) -> None:
    """Check the order of stages.

    Raises: ConfigError if a stage reads a column that no stage before it writes, or two stages have the same name.
    """
    written, names = set(CANONICAL.names), set[str]()
    for stage in stages:
        if stage.name in names:
            raise ConfigError(f"block: two stages are named {stage.name}; put the second into another block")
        if missing := [column for column in stage.reads if column not in written]:
            raise ConfigError(
                f"block: {stage.name} reads {missing[0]}; put the stage that writes it before it"
            )
        names.add(stage.name)
        written |= {f"{stage.name}.{column}" for column in stage.writes.names}


def add_columns(
    documents: Sequence[Document], loaded: Iterable[tuple[Stage, Callable[[pa.Table], pa.Table]]]
) -> None:
    """Run loaded stages over documents and add each column to their metadata, as `stage.column`."""
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
    """Return a canonical column of documents, (n_docs,); numeric ones, which only ingest can fill, are null."""
    dtype = CANONICAL.field(name).type
    if name == "text":
        return pa.array([_as_text(document.text) for document in documents], dtype)
    if name in ("doc_id", "source_id"):
        return pa.array([_as_text(document.id) for document in documents], dtype)
    if not (pa.types.is_string(dtype) or pa.types.is_large_string(dtype)):
        return pa.nulls(len(documents), dtype)
    return pa.array([_as_text(document.metadata.get(name)) for document in documents], dtype)


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
    optional=pa.schema({"url": pa.string()}),
    requires=("datatrove", "regex"),
)
