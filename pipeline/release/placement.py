"""Placement of kept documents in a release: the part in data/, and the positions in each mix.

No process holds a row for every document. Blocks of documents send rows to ranges of a keyed hash or of a training
order and receive positions; the driver adds up sums by range, and decides quotas, cutoffs and ends of parts from them.
The result does not depend on the number of blocks or ranges.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.release_columns import RIGHTS_GROUPS
from pipeline.config.run_file import RunFile
from pipeline.mapreduce.exchange import Exchange
from pipeline.mix.blocks import Decided, Sums, choice_searches, count_ranges, cut_searches
from pipeline.mix.config import Mix
from pipeline.mix.cutoffs import Request, merged, search, unpack
from pipeline.mix.holdout import HOLDOUT
from pipeline.mix.plan import MixPlan
from pipeline.mix.repeat import Repeat
from pipeline.mix.warnings import warnings_of
from pipeline.release.block_tasks import (
    MAX_PART_GROUPS,
    AnswerTask,
    CountTask,
    JoinTask,
    MixTask,
    ScatterTask,
    SendCopiesTask,
    SendDataTask,
    answer_block,
    count_block,
    join_positions,
    scatter,
    send_copies,
    send_data,
    total_block,
)
from pipeline.release.facts import ShardFacts
from pipeline.release.files import FileReport
from pipeline.release.kept import (
    ROWS_PER_BLOCK,
    Block,
    items_by_cell,
    merge_counts,
    merge_lengths,
    plan_mix,
    sums_by,
)
from pipeline.release.mix_numbers import MAX_GROUPS, TrainingTask, measure_range, training_rows
from pipeline.release.parts import Base, Cut, Open, join_cuts, mark_spacing
from pipeline.release.passes import Passes, Report
from pipeline.release.range_tasks import (
    Bytes,
    CutTask,
    OrderFileTask,
    OrderTask,
    PlaceTask,
    cut_data,
    order_range,
    place_in_buckets,
    place_in_groups,
    write_order,
)
from pipeline.release.tally import (
    Tally,
    added,
    curve_rows,
    group_rows,
    languages_of,
    mixed_rows,
    of_plain,
    phase_rows,
)
from pipeline.translation import message


@dataclass(frozen=True)
class Output:
    """A set of parts that release writes: data of one language, a mix, or derived documents in a form of their own.

    folder: below the release. materialise: whether the parts are written with their text; tokens: whether token files
    are. is_part: whether the modules of derived documents define the rows; several may write to one folder.
    """

    folder: str
    mix: str | None
    n_parts: int
    materialise: bool
    tokens: bool = False
    is_part: bool = False

    @property
    def gathered(self) -> bool:
        """Whether texts are gathered for its parts."""
        return self.materialise or self.tokens


@dataclass(frozen=True)
class Order:
    """Pieces of a training order, by range. bases: of parts and rows, None where they are those of the data."""

    pieces: tuple[str, ...]
    bases: tuple[Base, ...] | None


@dataclass(frozen=True)
class Placement:
    """Outputs and what is written to them.

    present: ordinals of the shards with documents in each output. orders: by mix. mixes: mix -> what was planned and
    what was realised, for the report. warnings: about the mixes. n_tokens: of all kept documents; lengths: of
    kept.length_counts. rights: group of RIGHTS_GROUPS -> paths of its parts of data/; empty if documents are not put
    into parts by group.
    """

    outputs: tuple[Output, ...]
    present: tuple[tuple[int, ...], ...]
    orders: Mapping[str, Order]
    mixes: Mapping[str, Mapping[str, Any]]  # Any: plain JSON
    warnings: tuple[str, ...]
    n_tokens: int
    lengths: Mapping[str, Sequence[int]]
    rights: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Positions:
    """Positions that ranges of one order send to blocks. bases: by sequence, then range."""

    exchange: Exchange
    bases: Mapping[int, tuple[Base, ...]]


DATA = message("place documents")


class Placing:
    """Places the kept documents of a release.

    starts: ordinals of the first shards of the blocks. group: fact of the group of rights, by which the documents of a
    language are put into parts of their own; "" if there is none. n_ranges: for tests, of every order.
    """

    def __init__(
        self,
        run: RunFile,
        passes: Passes,
        blocks: Sequence[Block],
        group: str = "",
        n_ranges: int | None = None,
    ) -> None:
        self.run, self.passes, self.blocks, self.group, self.given = run, passes, blocks, group, n_ranges
        self.store, self.work = passes.store, passes.work
        self.starts = tuple(block.shards[0] for block in blocks)

    def place(self, planned: Mapping[str, Mix]) -> Placement:
        """Order documents by keyed hash per language, plan every mix, and cut both into parts by text bytes.

        Args: planned, the mixes by name, their repeats fitted.
        Raises: MixError when the shares of a mix cannot be met.
        """
        counts, lengths, n_tokens = self.count(tuple(planned.values()))
        plans = {
            name: plan_mix(planned[name], counts[name], self.run.mix.max_discard) for name in sorted(planned)
        }
        languages = sorted(lengths)
        folders = {
            derived.module: derived.definition.part for derived in self.run.derived if derived.definition.part
        }
        outputs = [Output(f"data/{name}", None, 0, True) for name in languages]
        parts = sorted(set(folders.values()), key=str)
        outputs += [Output(str(folder), None, 0, True, is_part=True) for folder in parts]
        modules = {module: len(languages) + parts.index(folder) for module, folder in folders.items()}
        n_kept = sum(sum(counts_) for counts_ in lengths.values())
        data, parts_of = self.place_data({name: i for i, name in enumerate(languages)}, modules, n_kept)
        for sequence, numbers in parts_of.items():
            i = sequence // MAX_PART_GROUPS
            outputs[i] = replace(outputs[i], n_parts=outputs[i].n_parts + len(numbers))
        placed = self.join(data)
        orders: dict[str, Order] = {}
        mixes: dict[str, Mapping[str, Any]] = {}
        positions, warnings = [], []
        for name, plan in plans.items():
            ordering = MixOrder(self, plan, len(outputs), counts[name], placed, len(languages))
            order, mine, n = ordering.order()
            tokens = self.run.tokens is not None and name in self.run.tokens.mixes
            outputs.append(Output(f"mixes/{name}", name, n, plan.mix.materialise, tokens))
            orders[name], mixes[name] = order, ordering.report()
            positions.append(mine)
            warnings += ordering.warnings()
        present = self.scatter(placed, positions, len(outputs))
        rights = paths_by_group(languages, parts_of) if self.group else {}
        return Placement(tuple(outputs), present, orders, mixes, tuple(warnings), n_tokens, lengths, rights)

    def ranges(self, n_rows: float) -> int:
        """Number of ranges of an order of n_rows."""
        return self.given or max(1, math.ceil(n_rows / ROWS_PER_BLOCK))

    def count(self, mixes: tuple[Mix, ...]) -> tuple[dict[str, pa.Table], dict[str, list[int]], int]:
        """Counts by stratum of each mix, documents by language and length, and tokens."""
        counts: dict[str, pa.Table] = {}
        lengths: dict[str, list[int]] = {}
        n_tokens = 0
        tasks = [CountTask(block, mixes) for block in self.blocks]
        for _, report in self.passes.run(DATA, count_block, tasks, "count"):
            for mix in mixes:
                known = [counts[mix.name]] if mix.name in counts else []
                counts[mix.name] = merge_counts([*known, report.tables[mix.name]])
            lengths = merge_lengths([lengths, report.facts["lengths"]])
            n_tokens += report.facts["tokens"]
        return counts, lengths, n_tokens

    def place_data(
        self, languages: Mapping[str, int], modules: Mapping[str, int], n_kept: int
    ) -> tuple[_Positions, dict[int, range]]:
        """Place the documents in data/ and in parts of derived documents; returns the parts of each sequence too.

        They follow the keyed hash of their names or, with the order `input`, the order of shards, and the hash in each.
        """
        by_shard = self.run.release.order == "input"
        n = len(self.blocks) if by_shard else self.ranges(n_kept)
        seed, starts = self.run.release.seed, self.starts if by_shard else None
        tasks = [
            SendDataTask(block, languages, modules, seed, n, self.work.file("data", i), self.group, starts)
            for i, block in enumerate(self.blocks)
        ]
        tables = [report.tables["bytes"] for _, report in self.passes.run(DATA, send_data, tasks, "data")]
        sums = SumsByRange(tables, n)
        exchange = self.passes.exchange(DATA, [task.key for task in tasks], n, "data-merged")
        cuts = [
            CutTask(
                self.store, exchange.sources(r), self.work.file("data-cut", r), self.starts,
                {s: sums.bytes(r, s) for s in sums.indices()}, self.run.release.part_bytes,
            )
            for r in range(n)
        ]  # fmt: skip
        joined = self.cut_in_turn(cuts, sums) if by_shard else self.cut_at_once(cuts)
        bases: dict[int, tuple[Base, ...]] = {}
        parts: dict[int, range] = {}
        for s, (mine, n_parts) in joined.items():  # the groups of an output one after another
            first = sum(
                len(parts[other]) for other in parts if other // MAX_PART_GROUPS == s // MAX_PART_GROUPS
            )
            bases[s] = tuple(replace(base, part=base.part + first) for base in mine)
            parts[s] = range(first, first + n_parts)
        sent = self.passes.exchange(DATA, [task.key for task in cuts], len(self.blocks), "data-cut-merged")
        return _Positions(sent, bases), parts

    def cut_at_once(self, cuts: Sequence[CutTask]) -> dict[int, tuple[list[Base], int]]:
        """Cut all ranges side by side; returns bases and number of parts by sequence."""
        reports = self.passes.all(DATA, cut_data, cuts, "data-cut")
        sequences = sorted(cuts[0].bytes) if cuts else []
        return {s: join_cuts([Cut(**report.facts[str(s)]) for report in reports]) for s in sequences}

    def cut_in_turn(self, cuts: Sequence[CutTask], sums: SumsByRange) -> dict[int, tuple[list[Base], int]]:
        """Cut ranges one after another at marked documents, as each depends on where the one before ended."""
        marks = {s: mark_spacing(sums.bytes(0, s).total, int(sums.of("count", s).sum()),
                                 self.run.release.part_bytes) for s in sums.indices()}  # fmt: skip
        left = dict.fromkeys(marks, Open())
        for r, cut in enumerate(cuts):
            task = replace(cut, marks=marks, left=left)
            (report,) = self.passes.all(DATA, cut_data, [task], f"data-cut{r:06d}")
            left = {s: Open(**report.facts[str(s)]) for s in marks}
        return {s: ([Base(0, 0)] * len(cuts), left[s].number + bool(left[s].n_rows)) for s in marks}

    def join(self, data: _Positions) -> list[str]:
        """Collect the positions in the data, one file for each block."""
        tasks = [
            JoinTask(block, data.exchange.sources(i), data.bases, self.work.file("data-placed", i))
            for i, block in enumerate(self.blocks)
        ]
        self.passes.all(DATA, join_positions, tasks, "join")
        return [task.key for task in tasks]

    def scatter(
        self, placed: Sequence[str], positions: Sequence[_Positions], n_outputs: int
    ) -> tuple[tuple[int, ...], ...]:
        """Write the positions of every shard; returns the shards with documents in each output."""
        tasks = [
            ScatterTask(
                block, placed[i], tuple(mine.exchange.sources(i) for mine in positions),
                tuple(mine.bases for mine in positions), self.work,
            )
            for i, block in enumerate(self.blocks)
        ]  # fmt: skip
        present: list[list[int]] = [[] for _ in range(n_outputs)]
        for _, report in self.passes.run(DATA, scatter, tasks, "scatter"):
            for ordinal, outputs in report.facts.items():
                for output in outputs:
                    present[output].append(int(ordinal))
        return tuple(tuple(sorted(ordinals)) for ordinals in present)

    def write_orders(
        self, orders: Mapping[str, Order], keys: Mapping[str, str]
    ) -> dict[str, tuple[FileReport, str]]:
        """Write the training order of each mix: its file, and its digest. Args: keys, by mix."""
        names = sorted(orders)
        tasks = [
            OrderFileTask(self.store, orders[name].pieces, orders[name].bases, keys[name]) for name in names
        ]
        reports = self.passes.all(message("write orders"), write_order, tasks, "order-file")
        found = {}
        for name, report in zip(names, reports, strict=True):
            facts = report.facts
            file = FileReport(keys[name], facts["rows"], facts["sha256"], facts["bytes"])
            found[name] = file, facts["digest"]
        return found


def paths_by_group(languages: Sequence[str], parts: Mapping[int, range]) -> dict[str, list[str]]:
    """Paths of the parts of data/ by group of RIGHTS_GROUPS, those that have some.

    Args: languages, in the order of their outputs, which are the first; parts, of each sequence.
    """
    found: dict[str, list[str]] = {}
    for sequence, numbers in parts.items():
        output, group = divmod(sequence, MAX_PART_GROUPS)
        if output < len(languages):
            paths = found.setdefault(RIGHTS_GROUPS[group], [])
            paths += [f"data/{languages[output]}/part-{n:05d}.parquet" for n in numbers]
    return found


class SumsByRange:
    """Sums by index and range, of tables of `sums_by_range`: size and bytes, where they are given, and count."""

    def __init__(self, tables: Iterable[pa.Table], n_ranges: int) -> None:
        self.n_ranges = n_ranges
        self.sums: dict[str, dict[int, np.ndarray]] = {}
        for table in tables:
            index, ranges = table["index"].to_numpy(), table["range"].to_numpy()
            for number in np.unique(index).tolist():
                mine = index == number
                for name in table.column_names[2:]:
                    known = self.sums.setdefault(name, {}).setdefault(number, np.zeros(n_ranges, np.int64))
                    np.add.at(known, ranges[mine], table[name].to_numpy()[mine])

    def indices(self) -> list[int]:
        """Indices that occur, ascending."""
        return sorted(self.sums.get("count", {}))

    def of(self, name: str, index: int | None = None) -> np.ndarray:
        """Sums of one index, or of all, by range: int64 (n_ranges,)."""
        none = np.zeros(self.n_ranges, np.int64)
        by_index = self.sums.get(name, {})
        return by_index.get(index, none) if index is not None else sum(by_index.values(), none)

    def bytes(self, number: int, index: int | None = None) -> Bytes:
        """Bytes in front of a range, and in all."""
        sums = self.of("bytes", index)
        return Bytes(int(sums[:number].sum()), int(sums.sum()))

    def strata(self, number: int) -> dict[int, Sums]:
        """What places in a range need of every stratum."""
        found = {}
        for stratum, sizes in self.sums.get("size", {}).items():
            by_size = bool(sizes.any())
            weights = sizes if by_size else self.sums["count"][stratum]
            found[stratum] = Sums(int(weights[:number].sum()), int(weights.sum()), by_size)
        return found


class MixOrder:
    """Puts the copies of one mix into training order.

    number: of its output. counts: by stratum. placed: files of positions in the data, by block; n_languages: outputs
    of the data.
    """

    def __init__(
        self,
        placing: Placing,
        plan: MixPlan,
        number: int,
        counts: pa.Table,
        placed: Sequence[str],
        n_languages: int,
    ) -> None:
        self.placing, self.passes, self.blocks = placing, placing.passes, placing.blocks
        self.store, self.run, self.number, self.counts = placing.store, placing.run, number, counts
        self.placed = placed if not plan.mix.materialise else None
        self.n_languages = n_languages
        self.decided = Decided(plan)
        self.label = message(f"order mix {plan.mix.name}")
        self.tally: Tally = {}
        self.training: dict[str, Any] | None = None
        n_copies = sum(sums_by(counts, "stratum", "n_items").values()) * plan.total / max(plan.available, 1)
        self.n_ranges = placing.ranges(n_copies)

    @property
    def plan(self) -> MixPlan:
        """Quotas of the mix."""
        return self.decided.plan

    def name(self, what: str) -> str:
        """Name of a pass of this mix."""
        return f"mix{self.number:03d}-{what}"

    def file(self, what: str, number: int) -> str:
        """Key of an exchange file of this mix."""
        return self.placing.work.file(self.name(what), number)

    def order(self) -> tuple[Order, _Positions, int]:
        """Choose copies, place them, and write the pieces of the order; returns where rows are, and how many parts."""
        self.choose()
        self.divide()
        exchange, sums = self.send()
        if self.plan.mix.curve:
            exchange, sums = self.spread(exchange, sums, place_in_buckets, "buckets", self.n_ranges)
        strata = len(sums.sums.get("size", {}))
        units, fused = (
            sums,
            strata <= 1 and not self.plan.mix.curve,
        )  # then ranges of places are ranges of the order
        if not fused:
            n = count_ranges(self.plan, self.n_ranges)
            exchange, units = self.spread(exchange, sums, place_in_groups, "groups", n)
        tasks = [
            OrderTask(
                self.store, exchange.sources(r), self.file("piece", r), self.plan, sums.strata(r) if fused else {},
                self.number, self.placing.starts, units.bytes(r), self.run.release.part_bytes, self.file("sent", r),
            )
            for r in range(units.n_ranges)
        ]  # fmt: skip
        reports = self.passes.all(self.label, order_range, tasks, self.name("piece"))
        bases, n_parts = join_cuts([Cut(**report.facts) for report in reports])
        sent = self.passes.exchange(
            self.label, [t.sent for t in tasks], len(self.blocks), self.name("sent-merged")
        )
        pieces = tuple(task.key for task in tasks)
        self.measure(pieces, units)
        shown = tuple(bases) if self.placed is None else None
        return Order(pieces, shown), _Positions(sent, {self.number * MAX_PART_GROUPS: tuple(bases)}), n_parts

    def choose(self) -> None:
        """Find which copies of each cell are taken."""
        searches = choice_searches(self.plan, items_by_cell(self.plan, self.counts))
        found = search(searches, self.answers(of_phases=False))
        self.decided = replace(self.decided, choices={cell: choice for (cell, _), choice in found.items()})

    def divide(self) -> None:
        """Find the ends of the phases of a schedule in each cell."""
        plan = self.plan
        if len(plan.mix.phases) < 2:
            return
        counts, sizes = np.zeros(len(plan.cells), np.int64), np.zeros(len(plan.cells), np.int64)
        tasks = [MixTask(block, self.decided) for block in self.blocks]
        for _, report in self.passes.run(self.label, total_block, tasks, self.name("totals")):
            counts += report.tables["cells"]["count"].to_numpy()
            sizes += report.tables["cells"]["size"].to_numpy()
        found = search(cut_searches(plan, counts.tolist(), sizes.tolist()), self.answers(of_phases=True))
        cuts = {
            i: tuple(found[i, j] for j in range(len(cell.quotas) - 1)) for i, cell in enumerate(plan.cells)
        }
        self.decided = replace(self.decided, cuts=cuts)

    def answers(self, of_phases: bool) -> Any:
        """Return a function that asks all blocks, for `search`. Any: the function."""
        turn = iter(range(1 << 30))

        def ask(requests: Sequence[Request]) -> list[pa.Table]:
            what = f"{'cuts' if of_phases else 'choices'}{next(turn):03d}"
            tasks = [AnswerTask(block, self.decided, tuple(requests), of_phases) for block in self.blocks]
            known: list[pa.Table] = []
            for _, report in self.passes.run(self.label, answer_block, tasks, self.name(what)):
                tables = unpack(report.tables, len(requests))
                pairs = zip(requests, known or tables, tables, strict=True)
                known = [merged(r, [a, b] if known else [b]) for r, a, b in pairs]
            return known

        return ask

    def send(self) -> tuple[Exchange, SumsByRange]:
        """Send all copies to ranges of their places, and count them."""
        tasks = [
            SendCopiesTask(
                block, self.decided, self.n_ranges, self.file("copies", i),
                None if self.placed is None else self.placed[i], self.n_languages,
            )
            for i, block in enumerate(self.blocks)
        ]  # fmt: skip
        tables, found = [], None
        for _, report in self.passes.run(self.label, send_copies, tasks, self.name("copies")):
            tables.append(report.tables["sums"])
            found = added(found, of_plain(report.facts))
        self.tally = found or {}
        return self.merged([task.key for task in tasks], self.n_ranges, "copies"), SumsByRange(
            tables, self.n_ranges
        )

    def spread(
        self, exchange: Exchange, sums: SumsByRange, fn: Any, what: str, n_next: int
    ) -> tuple[Exchange, SumsByRange]:
        """Place the copies of every range, and send them to the next ones. Any: a function of range_tasks."""
        tasks = [
            PlaceTask(self.store, exchange.sources(r), self.file(what, r), self.plan, sums.strata(r), n_next)
            for r in range(self.n_ranges)
        ]
        tables = [
            report.tables["sums"] for _, report in self.passes.run(self.label, fn, tasks, self.name(what))
        ]
        return self.merged([task.key for task in tasks], n_next, what), SumsByRange(tables, n_next)

    def merged(self, keys: Sequence[str], n_partitions: int, what: str) -> Exchange:
        """The exchange of a pass."""
        return self.passes.exchange(self.label, keys, n_partitions, self.name(f"{what}-merged"))

    def measure(self, pieces: tuple[str, ...], units: SumsByRange) -> None:
        """Measure the shares along the order, of a mix with groups."""
        if not 1 < len(self.plan.groups) <= MAX_GROUPS:
            return
        rows, taken = ((0, *np.cumsum(units.of(name)).tolist()) for name in ("count", "size"))
        phases = tuple(np.cumsum(self.tally["phases"][0]).tolist())
        tasks = [
            TrainingTask(self.store, self.plan, pieces, r, rows, taken, phases) for r in range(units.n_ranges)
        ]
        reports: list[Report] = self.passes.all(self.label, measure_range, tasks, self.name("training"))
        self.training = training_rows([report.facts for report in reports], self.plan, taken[-1])

    def report(self) -> dict[str, Any]:
        """The numbers of the mix."""
        plan, mix, found = self.plan, self.plan.mix, self.tally
        cells = found["cells"]
        groups = group_rows(found, plan)
        available, left_out = int(cells["available"].sum()), int(cells["discarded"].sum())
        report = {
            "unit": mix.unit, "preset": mix.preset, "groups": groups, "tokens": sum(g["tokens"] for g in groups),
            "available": available, "discarded_share": left_out / max(available, 1),
            "documents": int(cells["copies"].sum()), "languages": language_rows(languages_of(found)),
        }  # fmt: skip
        if self.training is not None:
            report["training"] = self.training
        if len(plan.phases) > 1:
            report["phases"] = phase_rows(found)
        if mix.curve:
            report["curve"] = curve_rows(found, plan)
        if mix.repeat:
            report["repeat"] = mix.repeat.report(found["repeat"])
        if "mixed" in found:
            report["mixed"] = mixed_rows(found)
        return report

    def warnings(self) -> list[str]:
        """Reasons to doubt the mix."""
        if self.plan.mix.name == HOLDOUT:
            return []
        return warnings_of(self.plan, languages_of(self.tally), self.run.mix.warn)


def to_fit(run: RunFile) -> tuple[tuple[str, Repeat], ...]:
    """The repeats that are fitted to documents removed by rules, by mix."""
    mixes = sorted(run.mix.mixes.items())
    return tuple((name, mix.repeat) for name, mix in mixes if mix.repeat and mix.repeat.fit)


def fitted_mixes(run: RunFile, reports: Sequence[ShardFacts]) -> dict[str, Mix]:
    """All mixes by name, with repeats fitted to the sum of what shards report; see facts.counts_to_fit."""
    mixes = dict(run.mix.mixes)
    for name, repeat in to_fit(run):
        counts = np.zeros((len(repeat.bounds) + 1, 2), np.int64)
        for report in reports:
            counts += np.array(report.fits.get(name, 0), np.int64)
        mixes[name] = replace(mixes[name], repeat=repeat.fitted(counts.tolist()))
    return mixes


def group_plans(plan: MixPlan) -> list[dict[str, Any]]:
    """The groups of a planned mix as plain data: group, available, asked, share, epochs, exhausted."""
    return [
        {
            "group": group.name, "available": group.available, "asked": group.asked, "share": group.share,
            "epochs": group.epochs, "exhausted": group.is_exhausted,
        }
        for group in plan.groups
    ]  # fmt: skip


def language_rows(languages: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Languages of a mix: available and taken units, the share of both, and epochs."""
    available, taken = (max(sum(counts[i] for counts in languages.values()), 1) for i in (0, 1))
    return [
        {
            "language": name, "available": n, "taken": m, "available_share": n / available, "share": m / taken,
            "epochs": m / max(n, 1),
        }
        for name, (n, m) in languages.items()
    ]  # fmt: skip
