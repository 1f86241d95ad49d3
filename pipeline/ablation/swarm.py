"""A swarm: many mixtures of the groups of one release, to train a proxy on each, written as orders without text.

Ratios are drawn from a Dirichlet distribution around the natural ones. Every group is named with the digest of its
documents, so that a later fit can say which groups are still what they were.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ablation.corpora import write_json
from pipeline.errors import MixError, UsageError
from pipeline.jobs.releases import find_release, read_part
from pipeline.keyed_hash import keyed_hash
from pipeline.mix.config import Mix, MixPhase
from pipeline.mix.order import cell_index, copies, positions
from pipeline.mix.plan import count_tokens, plan_quotas
from pipeline.names import nearest
from pipeline.recipe import digest

MAX_DRAWS = 10_000
"""Draws in a row that break the cap on repetition, after which a swarm is given up."""

SEPARATOR = "/"
"""Between the values of several columns in the name of a group."""


@dataclass(frozen=True)
class Group:
    """Documents of a release that are mixed as one. digest: of their ids, regardless of order."""

    name: str
    tokens: int
    documents: int
    digest: str


@dataclass(frozen=True)
class Pool:
    """Documents of a release with their groups. table: doc_id, group, n_tokens."""

    release: str
    by: tuple[str, ...]
    table: pa.Table
    groups: tuple[Group, ...]

    @property
    def natural(self) -> np.ndarray:
        """Share of the tokens of each group, float64 (n_groups,)."""
        tokens = np.array([group.tokens for group in self.groups], float)
        shares: np.ndarray = tokens / tokens.sum()
        return shares


def read_pool(release: str, by: Sequence[str]) -> Pool:
    """Read the documents of a release and group them by the values of columns of its data, such as language, domain.

    Raises: UsageError for an unknown column; MixError if no document has a token count.
    """
    table = read_part(release, "data", ["doc_id", "n_tokens", *by], "arrow")
    if not by:
        raise UsageError("--by: name a column of data/, such as language or domain")
    values = [table[name].cast(pa.string()).fill_null("none").to_pylist() for name in by]
    names = [SEPARATOR.join(row) for row in zip(*values, strict=True)]
    table = pa.table({"doc_id": table["doc_id"], "group": names, "n_tokens": table["n_tokens"].fill_null(0)})
    if not any(table["n_tokens"].to_pylist()):
        raise MixError(f"{release}: its documents have no token counts; build it with stages.tokens")
    hashes = keyed_hash(table["doc_id"], 0)
    groups, column, tokens = [], np.array(names, object), table["n_tokens"].to_numpy()
    for name in sorted(set(names)):
        rows = column == name
        if tokens[rows].sum():
            identity = digest({"documents": [f"{h:016x}" for h in np.sort(hashes[rows]).tolist()]})
            groups.append(Group(name, int(tokens[rows].sum()), int(rows.sum()), identity))
    return Pool(find_release(release), tuple(by), table, tuple(groups))


@dataclass(frozen=True, kw_only=True)
class SwarmSettings:
    """mixtures: their number. tokens: of the target run, which decides repetition. max_epochs: largest number of
    passes over a group. spread: of ratios; 1 draws from Dirichlet(natural * n_groups), less is closer to natural.
    floor: shares below it become 0. seed: of all draws."""

    mixtures: int
    tokens: int
    max_epochs: float = 4.0
    spread: float = 1.0
    floor: float = 0.002
    seed: int = 1


def draw_ratios(pool: Pool, settings: SwarmSettings) -> np.ndarray:
    """Draw the ratios of a swarm; the first row is natural where the cap on repetition allows it.

    Returns: float64 (mixtures, n_groups), rows that sum to 1.
    Raises: MixError if the cap allows no mixture that the draws find.
    """
    natural = pool.natural
    cap = settings.max_epochs * np.array([g.tokens for g in pool.groups], float) / settings.tokens
    if cap.sum() < 1:
        raise MixError(
            f"{settings.tokens:,} tokens are more than {settings.max_epochs:g} passes over all of "
            f"{sum(g.tokens for g in pool.groups):,}; lower --tokens or raise --max-epochs"
        )
    draw = np.random.default_rng(settings.seed)
    rows = [natural] if (natural <= cap).all() else []
    failed = 0
    while len(rows) < settings.mixtures:
        ratios = draw.dirichlet(np.maximum(natural * len(natural) / settings.spread, 1e-3))
        ratios[ratios < settings.floor] = 0
        ratios /= max(ratios.sum(), 1e-12)
        if ratios.sum() and (ratios <= cap).all():
            rows.append(ratios)
            failed = 0
        elif (failed := failed + 1) > MAX_DRAWS:
            raise MixError(
                "no mixture within --max-epochs was drawn; lower --spread or --tokens, or raise --max-epochs"
            )
    return np.array(rows[: settings.mixtures])


def order_of(pool: Pool, ratios: np.ndarray, settings: SwarmSettings, name: str) -> pa.Table:
    """The documents of one mixture in training order: doc_id, epoch."""
    stratum = {group.name: f"g{i}" for i, group in enumerate(pool.groups)}
    share = {stratum[g.name]: float(r) for g, r in zip(pool.groups, ratios, strict=True) if r > 0}
    mix = Mix(
        name=name, by=("group",), groups={g: (g,) for g in share}, phases=(MixPhase(until=1.0, share=share),),
        total=settings.tokens, max_epochs=float(np.ceil(settings.max_epochs)), seed=settings.seed,
    )  # fmt: skip
    strata = pa.array([stratum.get(group) for group in pool.table["group"].to_pylist()], pa.string())
    tokens = pool.table["n_tokens"].to_numpy().astype(np.int64)
    plan = plan_quotas(count_tokens(strata, tokens), mix, 1.0)
    cells = cell_index(strata, plan)
    hashes = keyed_hash(pool.table["doc_id"], settings.seed)
    order = positions(hashes, copies(cells, tokens, hashes, plan), cells, tokens, plan)
    return pa.table(
        {"doc_id": pool.table["doc_id"].combine_chunks().take(order["document"]), "epoch": order["epoch"]}
    )


def write_swarm(pool: Pool, settings: SwarmSettings, folder: str) -> list[str]:
    """Write ratios.csv as Olmix reads it, swarm.json with the groups, orders/, and ablation.yaml to train on them.

    Returns: the names of the mixtures.
    """
    ratios = draw_ratios(pool, settings)
    names = [f"m{i:04d}" for i in range(len(ratios))]
    root = Path(folder)
    (root / "orders").mkdir(parents=True, exist_ok=True)
    for name, row in zip(names, ratios, strict=True):
        pq.write_table(
            order_of(pool, row, settings, name), root / "orders" / f"{name}.parquet", compression="zstd"
        )
    write_csv(root / "ratios.csv", [g.name for g in pool.groups], zip(names, ratios.tolist(), strict=True))
    write_json(root / "swarm.json", {
        "release": pool.release, "by": list(pool.by), "settings": vars(settings),
        "groups": {g.name: {"tokens": g.tokens, "documents": g.documents, "digest": g.digest} for g in pool.groups},
    })  # fmt: skip
    corpora = "".join(
        f"  {name}: {{release: {pool.release!r}, order: orders/{name}.parquet}}\n" for name in names
    )
    (root / "ablation.yaml").write_text(ABLATION.format(corpora=corpora), "utf-8")
    return names


ABLATION = """# A proxy on each mixture of the swarm: bicorpus ablate ablation.yaml --to runs, then
# bicorpus mix fit ratios.csv runs/metrics.csv --swarm swarm.json
corpora:
{corpora}evaluate:          # clean texts that the release does not have
  zh: {{files: [zh.jsonl]}}
  en: {{files: [en.jsonl]}}
seeds: [1, 2]
"""


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[float]]]) -> None:
    """Write a table of runs in the form of Olmix: run, name, index, then a column each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "name", "index", *columns])
        for i, (name, values) in enumerate(rows):
            writer.writerow([name, name, i, *(f"{value:.8g}" for value in values)])


def changed_groups(before: Mapping[str, Mapping[str, object]], pool: Pool) -> dict[str, str]:
    """What has become of the groups of a swarm: name -> `same`, `changed` or `gone`, and `new` for others.

    Evidence of proxies holds for groups that are the same.
    """
    now = {group.name: group.digest for group in pool.groups}
    found = {
        name: "gone" if name not in now else "same" if now[name] == facts["digest"] else "changed"
        for name, facts in before.items()
    }
    return found | {name: "new" for name in now if name not in before}


def check_groups(names: Sequence[str], known: Iterable[str], where: str) -> None:
    """Check names of groups. Raises: UsageError for an unknown one."""
    known = list(known)
    for name in names:
        if name not in known:
            raise UsageError(f"{where}: no group {name!r}{nearest(name, known)}")
