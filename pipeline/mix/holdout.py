"""Hold-out: documents that no mix contains, chosen so that nothing similar to them is in a mix.

Documents are linked by the values of some columns: equal text, the cluster of near duplicates, the parent of a derived
document, and columns that the run file names, such as the id that the two sides of a translation share. A document is
held out if the keyed hash of its cluster (of its text, without clusters) is below the share, or if it is linked with a
document that is held out. A choice depends on these names and the seed alone: a rebuild holds the same documents out,
for any sharding, rules and mixes.

No list of components is needed: from the chosen names, the held ones spread along links until none is added. So memory
is that of the names held out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # values of a parsed YAML file

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.errors import ConfigError
from pipeline.names import brief, check_keys

HOLDOUT = "holdout"
"""Name of the mix of the documents held out."""

DOCUMENT = "doc_id"
TEXT = "text_hash"
PARENT = "parent_id"


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The `holdout` of a run file.

    share: of the clusters, in (0, 0.5]. together: columns of text; documents with the same value stay together. as_in:
    an earlier release of the store, whose documents held out remain so, while no others are chosen among the clusters
    that it has. seed: of the keyed hash. materialise: write the text to mixes/holdout.
    """

    share: float
    together: tuple[str, ...] = ()
    as_in: str | None = None
    seed: int = 0
    materialise: bool = True

    def columns(self, cluster: str | None) -> tuple[str, ...]:
        """Return the columns that link documents; cluster: column of the names of clusters, if the run has one."""
        return (DOCUMENT, TEXT, PARENT, *((cluster,) if cluster else ()), *self.together)


def parse_holdout(settings: Any, where: str) -> Holdout | None:
    """Parse the key `holdout`; None where it is absent.

    Raises: ConfigError if a setting is unknown, missing or out of range.
    """
    if settings is None:
        return None
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where}: found {brief(settings)}; expected `share`, such as {{share: 0.001}}")
    check_keys(settings, ("share", "together", "as_in", "seed", "materialise"), where)
    share, seed = settings.get("share"), settings.get("seed", 0)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 0.5:
        raise ConfigError(f"{where}.share: found {brief(share)}; expected a number above 0 and at most 0.5")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ConfigError(f"{where}.seed: found {brief(seed)}; expected a whole number from 0 to 2**64 - 1")
    together, materialise = settings.get("together", []), settings.get("materialise", True)
    together = [together] if isinstance(together, str) else together
    if not isinstance(together, list) or not all(isinstance(column, str) and column for column in together):
        raise ConfigError(f"{where}.together: found {brief(together)}; expected a list of columns")
    as_in = settings.get("as_in")
    if as_in is not None and (not isinstance(as_in, str) or not as_in):
        raise ConfigError(f"{where}.as_in: found {brief(as_in)}; name an earlier release of the store")
    if not isinstance(materialise, bool):
        raise ConfigError(f"{where}.materialise: found {brief(materialise)}; expected true or false")
    return Holdout(
        share=float(share), together=tuple(together), as_in=as_in, seed=seed, materialise=materialise
    )


def name_links(
    columns: Mapping[str, pa.ChunkedArray], holdout: Holdout, cluster: str | None
) -> list[pa.ChunkedArray]:
    """Return the names that link each document with others, one array for each column: string (n_docs,).

    Ids of documents, their clusters and parents share their names, as a cluster is named by a document. Names of other
    columns are kept apart by the name of the column.
    """
    links = []
    for name in holdout.columns(cluster):
        values = columns[name].cast(pa.string())
        if name not in (DOCUMENT, PARENT, cluster):
            values = pc.binary_join_element_wise(pa.scalar(name), values, pa.scalar("="), "")
        links.append(values)
    return links


def is_chosen(columns: Mapping[str, pa.ChunkedArray], holdout: Holdout, cluster: str | None) -> np.ndarray:
    """Return which documents are chosen, before links: bool (n_docs,).

    The name that is hashed is that of the cluster, else of the text; derived documents follow their parents.
    """
    names = columns[TEXT].cast(pa.string())
    if cluster:
        names = pc.coalesce(columns[cluster].cast(pa.string()), names)
    limit = int(holdout.share * 2**64)
    distinct = names.combine_chunks().dictionary_encode()
    below = [
        xxhash.xxh3_64_intdigest(n.encode(), holdout.seed) < limit for n in distinct.dictionary.to_pylist()
    ]
    chosen = np.array([*below, False], bool)[distinct.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return chosen & ~np.asarray(pc.is_valid(columns[PARENT]).combine_chunks()).astype(bool)


def spread(links: Iterable[Sequence[pa.ChunkedArray]], chosen: Iterable[np.ndarray]) -> pa.Array:
    """Return the names of all documents that are held out: those chosen, and what is linked with them over any number
    of links; see `linked`.

    Args: links, of each shard, as of `name_links`, which are iterated over once for each link of the longest chain;
    chosen, of each shard, bool (n_docs,).
    Returns: string (n_names,).
    """
    fresh: set[str] = set()
    for columns, mask in zip(links, chosen, strict=True):
        fresh |= _names(columns, mask)
    known = set(fresh)
    while fresh:
        table = pa.array(sorted(fresh), pa.string())
        fresh = set()
        for columns in links:
            fresh |= _names(columns, linked(columns, table)) - known
        known |= fresh
    return pa.array(sorted(known), pa.string())


def linked(columns: Sequence[pa.ChunkedArray], names: pa.Array) -> np.ndarray:
    """Return which documents have one of some names: bool (n_docs,).

    Args: columns, of one shard, as of `name_links`.
    """
    hit = np.zeros(len(columns[0]), bool)
    for column in columns:
        hit |= np.asarray(pc.is_in(column, names, skip_nulls=True).combine_chunks()).astype(bool)
    return hit


def _names(columns: Sequence[pa.ChunkedArray], mask: np.ndarray) -> set[str]:
    """All names of some documents of a shard."""
    if not mask.any():
        return set()
    named = (name for column in columns for name in column.filter(pa.array(mask)).to_pylist())
    return {name for name in named if name is not None}
