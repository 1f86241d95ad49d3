"""bicorpus in Python: measure, filter, deduplicate and explain texts in a notebook or a script.

Tables may be Arrow tables, Polars or pandas data frames, or lists of texts or of mappings; what comes in goes out. The
answers are those of a build (`bicorpus run`) with the same stages and rules. Stages have short names ("language",
"quality"), and run in one process unless `workers` says otherwise. Errors are those of `pipeline.errors`.

>>> import bicorpus
>>> rows = bicorpus.annotate(["今天天气很好，我们一起去公园散步吧。", "The weather is fine today."], ["language"])
>>> [row["language.label"] for row in rows]
['zho_Hans', 'eng_Latn']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.feed.dataset import Feed
    from pipeline.jobs.calls import Explanation
    from pipeline.stage import Stage, each

    Named = str | Mapping[str, Any] | Stage | each | Callable[..., Any]
    """A stage: its name or module, `{"use": name, "config": {...}}`, a Stage, or a function of a document."""

    Use = str | Mapping[str, Any] | Stage | each | Callable[..., Any]
    """What decides: a preset, a run file, a module, a comparison, a rule, or a function that returns what is kept."""

__all__ = ["Feed", "annotate", "dedup", "each", "explain", "filter", "read_release"]

Table = TypeVar("Table")


def __getattr__(name: str) -> Any:  # Any: what a module may define
    """`each`, `Feed` and `__version__`, imported when they are asked for, so that `import bicorpus` loads nothing."""
    if name == "each":
        from pipeline.stage import each

        return each
    if name == "__version__":
        from pipeline import __version__

        return __version__
    if name == "Feed":
        try:
            from pipeline.feed.dataset import Feed
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ModuleNotFoundError(
                "bicorpus.Feed needs PyTorch, which is not installed; pip install 'bicorpus[feed]'",
                name="torch",
            ) from error

        return Feed
    raise AttributeError(f"module 'bicorpus' has no attribute {name!r}")


@overload
def annotate(
    data: Sequence[str | None], stages: Sequence[Named], *, text: str | None = None, workers: int = 1
) -> list[dict[str, Any]]: ...
@overload
def annotate(data: Table, stages: Sequence[Named], *, text: str | None = None, workers: int = 1) -> Table: ...
def annotate(data: Any, stages: Any, *, text: str | None = None, workers: int = 1) -> Any:
    """Return a table with the columns of stages added, as `stage.column`.

    Columns that a stage reads and nobody provides are null where null is allowed. A row whose text is null or blank
    stays, with nulls.

    Args: data, a table, see the module; stages, by name, in any order, settings as in a run file; text, the column of
    the texts, recognised if None; workers, processes.
    Returns: a table of the same library; a list of texts becomes a list of dicts.
    Raises: ConfigError for an unknown stage, and for one that lacks a column, with the stage to add.

    >>> import pyarrow as pa
    >>> table = pa.table({"id": [1], "text": ["Water boils at 100 degrees, and the kettle sings."]})
    >>> annotate(table, ["language", "signals"]).select(["id", "language.label", "signals.n_words"]).to_pylist()
    [{'id': 1, 'language.label': 'eng_Latn', 'signals.n_words': 9}]

    A function is a stage of its name, with one column of its name:

    >>> def length(text: str) -> int:
    ...     return len(text)
    >>> annotate(["四个汉字"], [length])[0]["length.length"]
    4
    """
    from pipeline.jobs.calls import annotate_table

    return annotate_table(data, [stages] if isinstance(stages, str) else stages, text, workers)


@overload
def filter(
    data: Sequence[str | None],
    use: Use | Sequence[Use] = "recommended",
    *,
    text: str | None = None,
    mark: bool = False,
    without: Sequence[str] = (),
    workers: int = 1,
) -> list[dict[str, Any]]: ...
@overload
def filter(
    data: Table,
    use: Use | Sequence[Use] = "recommended",
    *,
    text: str | None = None,
    mark: bool = False,
    without: Sequence[str] = (),
    workers: int = 1,
) -> Table: ...
def filter(
    data: Any,
    use: Use | Sequence[Use] = "recommended",
    *,
    text: str | None = None,
    mark: bool = False,
    without: Sequence[str] = (),
    workers: int = 1,
) -> Any:
    """Return the rows whose texts pass rules.

    Args: use, one or more of: a preset ("recommended", "gopher", ...), a run file, a rule as in a run file, a
    comparison such as "signals.n_chars>=200", a function that returns whether a document is kept; mark, return all
    rows instead, with `bicorpus.keep` and `bicorpus.rule`; without, names of rules to leave out; text, workers: see
    annotate.
    Raises: UsageError for a rule that compares documents, which needs a build.

    >>> texts = ["too short", "Long enough to be kept by the comparison below."]
    >>> filter(texts, "signals.n_chars>=20")
    [{'text': 'Long enough to be kept by the comparison below.'}]
    >>> def no_question(text: str) -> bool:
    ...     return not text.endswith("?")
    >>> [row["bicorpus.rule"] for row in filter(["Why?", "Because."], no_question, mark=True)]
    ['no_question', None]
    """
    from pipeline.jobs.calls import filter_table

    return filter_table(data, use, text, mark, without, workers)


@overload
def dedup(
    data: Sequence[str | None],
    *,
    text: str | None = None,
    threshold: float = 0.8,
    exact: bool = False,
    prefer: Literal["longest", "shortest", "first", "last"] = "longest",
    mark: bool = False,
    workers: int = 1,
) -> list[dict[str, Any]]: ...
@overload
def dedup(
    data: Table,
    *,
    text: str | None = None,
    threshold: float = 0.8,
    exact: bool = False,
    prefer: Literal["longest", "shortest", "first", "last"] = "longest",
    mark: bool = False,
    workers: int = 1,
) -> Table: ...
def dedup(
    data: Any,
    *,
    text: str | None = None,
    threshold: float = 0.8,
    exact: bool = False,
    prefer: Literal["longest", "shortest", "first", "last"] = "longest",
    mark: bool = False,
    workers: int = 1,
) -> Any:
    """Return the rows without exact and near duplicates.

    Args: threshold, least Jaccard similarity of near duplicates; exact, only copies of the same text; prefer, the copy
    that is kept, of equally long ones the first; mark, return all rows instead, with `bicorpus.keep`,
    `bicorpus.keeper` (number of the row that is kept in its place, its own if it is kept), `bicorpus.kind` (raw,
    exact, near) and `bicorpus.similarity`; text, workers: see annotate.

    >>> dedup(["今天的天气很好。", "今天 的天氣很好", "明天会下雨。"])
    [{'text': '今天的天气很好。'}, {'text': '明天会下雨。'}]
    """
    from pipeline.jobs.calls import dedup_table
    from pipeline.jobs.copies import DedupSettings

    settings = DedupSettings(threshold=threshold, exact_only=exact, prefer=prefer)
    return dedup_table(data, text, settings, mark, workers)


def explain(
    text: str, use: Use | Sequence[Use] = "recommended", *, without: Sequence[str] = (), **fields: str
) -> Explanation:
    """Return why a text would be kept or dropped: every measurement, and every rule with value and threshold.

    Args: use, without: see filter; fields, further columns of the document, such as url.
    Returns: an object with `keep`, `rule`, `rules` and `columns`; printed, it shows the rules that the text fails.

    >>> print(explain("click here", "signals.n_chars>=20"))
    dropped by signals.n_chars>=20
      FAILS signals.n_chars>=20  signals.n_chars 10 (min 20, margin -10)
      1 of 1 rules apply to it
    """
    from pipeline.jobs.calls import explain_one

    return explain_one(text, use, without, fields)


@overload
def read_release(
    path: str, *, part: str = "data", columns: Sequence[str] | None = None, to: Literal["arrow"] = "arrow"
) -> pa.Table: ...
@overload
def read_release(
    path: str,
    *,
    part: str = "data",
    columns: Sequence[str] | None = None,
    to: Literal["polars", "pandas", "list"],
) -> Any: ...
def read_release(
    path: str, *, part: str = "data", columns: Sequence[str] | None = None, to: str = "arrow"
) -> Any:
    """Return a release, or a part of it, as one table.

    Args: path, the folder of a release, or a store that has one; part, `data`, `data/zho_Hans`, `ledger`, `clusters`,
    `cot`, `mixes/NAME`; columns, those to read, all if None; to, the library: arrow, polars, pandas or list.
    Raises: InputError if there is no release; UsageError for an unknown part, column or library.
    """
    from pipeline.jobs.releases import read_part

    return read_part(path, part, columns, to)
