"""Kinds of damage to a release: what a disk does to files, and what a mistake or a hand does that makes the checksums
agree."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Change = Callable[[Path, random.Random], list[str]]
"""Damages a release and returns the files that it touched, or the parts of a fault that would name them."""


@dataclass(frozen=True)
class Kind:
    """One kind of damage. agrees: checksums.sha256 is written again afterwards, as by a program that knows nothing
    else.
    """

    name: str
    change: Change
    agrees: bool


def make_sums_agree(release: Path) -> None:
    """Write checksums.sha256 of the files as they are."""
    names = sorted(p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file())
    lines = [
        f"{hashlib.sha256((release / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
        if name != "checksums.sha256"
    ]
    (release / "checksums.sha256").write_text("".join(sorted(lines)))


INDEX = "tokens/half/tokens.json"


# Plain damage


def flip(path: Path, draw: random.Random) -> None:
    """Flip one bit."""
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def halve(path: Path, _: random.Random) -> None:
    """Cut the second half off."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def clear_sector(path: Path, draw: random.Random) -> None:
    """Overwrite 512 bytes with zeros, or all of a shorter file."""
    data = bytearray(path.read_bytes())
    start = draw.randrange(max(1, len(data) - 512))
    data[start : start + 512] = bytes(len(data[start : start + 512]))
    path.write_bytes(data)


def clear_end(path: Path, _: random.Random) -> None:
    """Overwrite the last 512 bytes with zeros, as a write that was not flushed leaves them."""
    data = path.read_bytes()
    path.write_bytes(data[:-512] + bytes(min(512, len(data))))


def empty(path: Path, _: random.Random) -> None:
    """Leave a file of no bytes."""
    path.write_bytes(b"")


def delete(path: Path, _: random.Random) -> None:
    """Delete a file."""
    path.unlink()


PLAIN = {
    "flipped bit": flip, "second half missing": halve, "512 bytes of zeros": clear_sector,
    "end of zeros": clear_end, "empty": empty, "missing": delete,
}  # fmt: skip

FILES = (
    "data/*/part-*", "mixes/half/part-*", "ledger/part-*", "orders/half.parquet", "clusters/part-*", "cot/part-*",
    "tokens/half/part-*.bin", "tokens/half/part-*.idx", "tokens/half/part-*.ds", "tokens/half/tokens.json",
    "lineage.json", "report.json", "report.html", "README.md", "croissant.json", "licenses.csv",
    "run.yaml", "checksums.sha256",
)  # fmt: skip


def plain_kinds() -> list[Kind]:
    """Each kind of plain damage to each kind of file, without and with agreeing checksums."""

    def change_of(pattern: str, damage: Callable[[Path, random.Random], None]) -> Change:
        def change(release: Path, draw: random.Random) -> list[str]:
            path = draw.choice(sorted(release.glob(pattern)))
            damage(path, draw)
            return [path.relative_to(release).as_posix()]

        return change

    return [
        Kind(f"{pattern}: {name}", change_of(pattern, damage), agrees)
        for pattern in FILES
        for name, damage in PLAIN.items()
        for agrees in (False, True)
        if not (agrees and (pattern == "checksums.sha256"))
    ]


# Damage whose checksums agree


def edit(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a Parquet file."""
    table = pq.read_table(path)
    pq.write_table(change(table).cast(table.schema), path, compression="zstd", row_group_size=1024)


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:  # Any: values of any column
    """Replace a column."""
    i = table.schema.get_field_index(name)
    return table.set_column(i, name, pa.array(values, table.schema.field(name).type))


def rolled(name: str) -> Callable[[pa.Table], pa.Table]:
    """Roll a column by one row."""

    def change(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        return with_column(table, name, values[-1:] + values[:-1])

    return change


def swapped(table: pa.Table, name: str, i: int, j: int) -> pa.Table:
    """Exchange two values of a column."""
    values = table[name].to_pylist()
    values[i], values[j] = values[j], values[i]
    return with_column(table, name, values)


def differing(release: Path, pattern: str, name: str) -> tuple[Path, int, int]:
    """A file with two rows that differ in a column."""
    for path in sorted(release.glob(pattern)):
        values = [json.dumps(v, default=str) for v in pq.read_table(path, columns=[name])[name].to_pylist()]
        for i in range(1, len(values)):
            if values[i] != values[0]:
                return path, 0, i
    raise LookupError(f"{pattern}: no two values of {name} differ")


def roll(pattern: str, name: str) -> Change:
    """Roll a column of one file, whose values differ."""

    def change(release: Path, _: random.Random) -> list[str]:
        path = differing(release, pattern, name)[0]
        edit(path, rolled(name))
        return [path.relative_to(release).as_posix()]

    return change


def roll_everywhere(name: str) -> Change:
    """Roll a column by one document in data/ and in the mix."""

    def change(release: Path, draw: random.Random) -> list[str]:
        data = [p for p in sorted(release.glob("data/*/part-*"))]
        values: dict[str, Any] = {}
        for path in data:
            table = pq.read_table(path)
            values |= dict(
                zip(table["doc_id"].to_pylist(), rolled(name)(table)[name].to_pylist(), strict=True)
            )
        for path in [*data, *release.glob("mixes/half/part-*")]:
            edit(
                path, lambda table: with_column(table, name, [values[d] for d in table["doc_id"].to_pylist()])
            )
        return ["data/", "mixes/", "half"]

    return change


def swap_texts(release: Path, draw: random.Random, everywhere: bool = True) -> list[str]:
    """Exchange the texts of two documents of data/, in the mix too."""
    path, i, j = differing(release, "data/*/part-*", "text")
    table = pq.read_table(path)
    ids, texts = table["doc_id"].to_pylist(), table["text"].to_pylist()
    new = {ids[i]: texts[j], ids[j]: texts[i]}
    files = [path, *(release.glob("mixes/half/part-*") if everywhere else ())]
    for file in files:
        edit(
            file,
            lambda t: with_column(
                t,
                "text",
                [new.get(d, x) for d, x in zip(t["doc_id"].to_pylist(), t["text"].to_pylist(), strict=True)],
            ),
        )
    return [path.relative_to(release).as_posix(), ids[i], ids[j]]


def edit_text(release: Path, _: random.Random) -> list[str]:
    """Change one character of one text, in data/ and the mix."""
    path = sorted(release.glob("mixes/half/part-*"))[0]
    doc_id = pq.read_table(path)["doc_id"][0].as_py()
    for file in [*release.glob("data/*/part-*"), *release.glob("mixes/half/part-*")]:
        edit(
            file,
            lambda t: with_column(
                t,
                "text",
                [
                    x[:-1] + "¿" if d == doc_id else x
                    for d, x in zip(t["doc_id"].to_pylist(), t["text"].to_pylist(), strict=True)
                ],
            ),
        )
    return [doc_id]


def take_out(release: Path, _: random.Random) -> list[str]:
    """Remove a document from data/, the mix and its order, and call it dropped in the ledger."""
    path = sorted(release.glob("mixes/half/part-*"))[0]
    doc_id = pq.read_table(path)["doc_id"][0].as_py()
    files = [
        *release.glob("data/*/part-*"),
        *release.glob("mixes/half/part-*"),
        *release.glob("orders/*.parquet"),
    ]
    for file in files:
        edit(file, lambda t: t.filter(pa.array([d != doc_id for d in t["doc_id"].to_pylist()])))
    for file in release.glob("ledger/part-*"):

        def drop(table: pa.Table) -> pa.Table:
            hit = [d == doc_id for d in table["doc_id"].to_pylist()]
            for name, value in (("keep", False), ("rule", "too_short"), ("copies", 0)):
                table = with_column(
                    table,
                    name,
                    [value if h else v for h, v in zip(hit, table[name].to_pylist(), strict=True)],
                )
            return table

        edit(file, drop)
    return [doc_id, "lineage", "half"]


def ledger_rows(change: Callable[[pa.Table], tuple[pa.Table, list[str]] | None]) -> Change:
    """Change the first part of the ledger to which a change applies."""

    def apply(release: Path, _: random.Random) -> list[str]:
        for path in sorted(release.glob("ledger/part-*")):
            table = pq.read_table(path)
            found = change(table)
            if found is not None:
                new, names = found
                edit(path, lambda _, new=new: new)  # type: ignore[misc]
                return [path.relative_to(release).as_posix(), *names]
        raise LookupError("no part of the ledger has such rows")

    return apply


def other_rule(table: pa.Table) -> tuple[pa.Table, list[str]] | None:
    """Exchange the rules of two dropped documents of a language, so that every count is the same."""
    rows = [(i, r) for i, r in enumerate(table.to_pylist()) if r["rule"] is not None]
    for i, a in rows:
        for j, b in rows:
            if (
                a["language"] == b["language"]
                and a["rule"] != b["rule"]
                and "duplicate" not in (a["rule"], b["rule"])
            ):
                return swapped(table, "rule", i, j), [a["doc_id"], b["doc_id"]]
    first = next(((i, r) for i, r in rows if r["rule"] != "duplicate"), None)
    if first is None:
        return None
    return with_column(
        table, "rule", ["long" if k == first[0] else v for k, v in enumerate(table["rule"].to_pylist())]
    ), [first[1]["doc_id"]]


def other_keeper(table: pa.Table) -> tuple[pa.Table, list[str]] | None:
    """Name another kept document as the keeper of a copy."""
    kept = [r["doc_id"] for r in table.to_pylist() if r["keep"]]
    for i, row in enumerate(table.to_pylist()):
        if row["rule"] == "duplicate" and kept:
            new = next(d for d in kept if d != row["keeper_id"])
            return with_column(
                table,
                "keeper_id",
                [new if k == i else v for k, v in enumerate(table["keeper_id"].to_pylist())],
            ), [row["doc_id"]]
    return None


def exchange_keepers(table: pa.Table) -> tuple[pa.Table, list[str]] | None:
    """Exchange the keepers of two copies."""
    rows = [(i, r) for i, r in enumerate(table.to_pylist()) if r["rule"] == "duplicate"]
    for i, a in rows:
        for j, b in rows:
            if a["keeper_id"] != b["keeper_id"]:
                return swapped(table, "keeper_id", i, j), [a["doc_id"]]
    return None


def copy_row(table: pa.Table) -> tuple[pa.Table, list[str]] | None:
    """Put the copy of a row in the place of another."""
    if len(table) < 2:
        return None
    indices = [0, 0, *range(2, len(table))]
    return table.take(pa.array(indices)), [table["doc_id"][0].as_py()]


def other_kept(table: pa.Table) -> tuple[pa.Table, list[str]] | None:
    """Exchange the verdicts of a kept and a dropped document."""
    keep = table["keep"].to_pylist()
    if len(set(keep)) < 2:
        return None
    i, j = keep.index(True), keep.index(False)
    for name in ("keep", "rule", "copies"):
        table = swapped(table, name, i, j)
    return table, [table["doc_id"][i].as_py()]


def value(pattern: str, name: str, new: Any) -> Change:  # Any: a value of any column
    """Set one value of a column."""

    def change(release: Path, _: random.Random) -> list[str]:
        path = sorted(release.glob(pattern))[0]
        edit(path, lambda t: with_column(t, name, [new, *t[name].to_pylist()[1:]]))
        return [path.relative_to(release).as_posix(), pq.read_table(path)["doc_id"][0].as_py()]

    return change


def rows_of(pattern: str, change: Callable[[int], list[int]], *more: str) -> Change:
    """Put the rows of a file into another order. change: from the number of rows to their indices."""

    def apply(release: Path, _: random.Random) -> list[str]:
        path = max(release.glob(pattern), key=lambda p: pq.read_metadata(p).num_rows)
        edit(path, lambda t: t.take(pa.array(change(len(t)))))
        return [path.relative_to(release).as_posix(), *more]

    return apply


def first_two(n: int) -> list[int]:
    """Exchange the first two rows."""
    return [1, 0, *range(2, n)]


def backwards(n: int) -> list[int]:
    """Reverse the rows."""
    return list(range(n))[::-1]


def without_last(n: int) -> list[int]:
    """Leave out the last row."""
    return list(range(n - 1))


def order_and_mix(release: Path, _: random.Random) -> list[str]:
    """Exchange the first two documents of a mix both in its order and in its file."""
    path = sorted(release.glob("mixes/half/part-*"))[0]
    edit(path, lambda t: t.take(pa.array(first_two(len(t)))))
    edit(release / "orders/half.parquet", lambda t: swapped(t, "doc_id", 0, 1))
    return ["orders/half.parquet", "half"]


def exchange_files(pattern: str) -> Change:
    """Exchange the names of two files."""

    def change(release: Path, _: random.Random) -> list[str]:
        a, b = sorted(release.glob(pattern))[:2]
        first, second = a.read_bytes(), b.read_bytes()
        a.write_bytes(second)
        b.write_bytes(first)
        return [a.relative_to(release).as_posix(), a.stem]

    return change


def tokens(pattern: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Change the tokens of one file."""

    def apply(release: Path, _: random.Random) -> list[str]:
        path = sorted(release.glob(pattern))[0]
        change(np.fromfile(path, "<u2")).astype("<u2").tofile(path)
        return [path.relative_to(release).as_posix()]

    return apply


def swap_documents(ids: np.ndarray) -> np.ndarray:
    """Exchange the second and third document of a file of tokens."""
    ends = np.flatnonzero(ids == 0)
    a, b, c = ends[0] + 1, ends[1] + 1, ends[2] + 1
    return np.concatenate([ids[:a], ids[b:c], ids[a:b], ids[c:]])


def other_token(ids: np.ndarray) -> np.ndarray:
    """Change one token in the middle of a file."""
    ids = ids.copy()
    place = len(ids) // 2
    place += int(ids[place] == 0)
    ids[place] = ids[place] + 1
    return ids


def page(name: str, change: Callable[[Any], None], *more: str) -> Change:  # Any: plain JSON
    """Change a JSON file."""

    def apply(release: Path, _: random.Random) -> list[str]:
        path = release / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return [name, *more]

    return apply


def both_pages(change: Callable[[Any], None]) -> Change:
    """Change lineage.json and report.json in the same way."""

    def apply(release: Path, draw: random.Random) -> list[str]:
        for name in ("lineage.json", "report.json"):
            page(name, change)(release, draw)
        return ["lineage.json", "report.json", "lineage", "expected"]

    return apply


def text(name: str, old: str, new: str) -> Change:
    """Replace a string in a text file."""

    def apply(release: Path, _: random.Random) -> list[str]:
        path = release / name
        content = path.read_text()
        assert old in content, (name, old)
        path.write_text(content.replace(old, new, 1))
        return [name]

    return apply


def number(name: str) -> Change:
    """Add one to the last number of a text file that has three digits or more."""

    def apply(release: Path, _: random.Random) -> list[str]:
        import re

        path = release / name
        content = path.read_text()
        found = list(re.finditer(r"(?<![\w.])\d{3,6}(?![\w.])", content))[-1]
        path.write_text(content[: found.start()] + str(int(found[0]) + 1) + content[found.end() :])
        return [name]

    return apply


def _shift(content: dict[str, Any], *path: str, by: int = 1) -> None:
    for name in path[:-1]:
        content = content[name]
    content[path[-1]] += by


def _funnel(content: dict[str, Any]) -> None:
    row = next(row for row in content["funnel"].values() if len(row) > 1 and len(set(row.values())) > 1)
    a, b = sorted(row)[:2]
    row[a], row[b] = row[b], row[a]
    if row[a] == row[b]:
        row[a], row[b] = row[a] + 1, row[b] - 1


def _first_input(content: dict[str, Any]) -> None:
    content["inputs"][sorted(content["inputs"])[0]]["digest"] = "0" * 32


def _first_profile(content: dict[str, Any]) -> None:
    rows = content["profile"]["languages"]
    rows[sorted(rows)[0]][0] += 1


def agreeing_kinds() -> list[Kind]:
    """Damage after which the checksums are written again."""
    kinds: dict[str, Change] = {
        "two texts exchanged in data and mix": swap_texts,
        "two texts exchanged in data": lambda r, d: swap_texts(r, d, everywhere=False),
        "one character of a text in data and mix": edit_text,
        "a document taken out of data, mix, order and ledger": take_out,
        "data: first two rows exchanged": rows_of("data/*/part-*", first_two),
        "data: rows reversed": rows_of("data/*/part-*", backwards),
        "data: last row missing": rows_of("data/*/part-*", without_last, "not in data/"),
        "data: two parts exchanged": exchange_files("data/*/part-*"),
        "mix: first two rows exchanged": rows_of("mixes/half/part-*", first_two, "half", "files of the mix"),
        "mix: last row missing": rows_of("mixes/half/part-*", without_last, "half", "files of the mix"),
        "mix: two parts exchanged": exchange_files("mixes/half/part-*"),
        "order: first two rows exchanged": rows_of("orders/half.parquet", first_two),
        "order: reversed": rows_of("orders/half.parquet", backwards),
        "order: last row missing": rows_of("orders/half.parquet", without_last),
        "order of a mix without text: first two exchanged": rows_of("orders/natural.parquet", first_two),
        "order and mix: first two documents exchanged": order_and_mix,
        "ledger: two rules exchanged": ledger_rows(other_rule),
        "ledger: another keeper": ledger_rows(other_keeper),
        "ledger: keepers of two copies exchanged": ledger_rows(exchange_keepers),
        "ledger: a row copied over another": ledger_rows(copy_row),
        "ledger: verdicts of two documents exchanged": ledger_rows(other_kept),
        "ledger: first two rows exchanged": rows_of("ledger/part-*", first_two),
        "ledger: last row missing": rows_of("ledger/part-*", without_last),
        "ledger: two parts exchanged": exchange_files("ledger/part-*"),
        "clusters: keepers rolled": roll("clusters/part-*", "keepers"),
        "clusters: last row missing": rows_of("clusters/part-*", without_last, "clusters", "row "),
        "tokens: zeros": tokens("tokens/half/part-*.bin", np.zeros_like),
        "tokens: rolled by one": tokens("tokens/half/part-*.bin", lambda ids: np.roll(ids, 1)),
        "tokens: two documents exchanged": tokens("tokens/half/part-*.bin", swap_documents),
        "tokens: one token in the middle": tokens("tokens/half/part-*.bin", other_token),
        "tokens: .ds of zeros": tokens("tokens/half/part-*.ds", np.zeros_like),
        "tokens: one token of .ds": tokens("tokens/half/part-*.ds", other_token),
        "tokens: two .bin exchanged": exchange_files("tokens/half/part-*.bin"),
        "tokens: two .idx exchanged": exchange_files("tokens/half/part-*.idx"),
        "tokens.json: another end token": page(INDEX, lambda c: c.update(end_token_id=5), "tokens/half"),
        "tokens.json: another tokenizer": page(INDEX, lambda c: c.update(tokenizer_sha256="0" * 64), "tokens/half"),
        "tokens.json: documents of a part": page(INDEX, lambda c: _shift(c["parts"][0], "documents"), "part-00000"),
        "lineage: kept": page("lineage.json", lambda c: _shift(c, "counts", "kept"), "expected"),
        "lineage: kept tokens": page("lineage.json", lambda c: _shift(c, "counts", "kept_tokens"), "lineage"),
        "lineage: an input's digest": page("lineage.json", _first_input),
        "lineage: funnel": page("lineage.json", _funnel, "lineage"),
        "lineage and report: funnel": both_pages(_funnel),
        "lineage and report: kept tokens": both_pages(lambda c: _shift(c, "counts", "kept_tokens")),
        "lineage and report: recipe": both_pages(lambda c: c.update(recipe="0" * 32)),
        "lineage and report: tokens of a mix": both_pages(lambda c: _shift(c, "mixes", "half", "tokens")),
        "report: a count of the profile": page("report.json", _first_profile, "report"),
        "report: counts": page("report.json", lambda c: _shift(c, "counts", "kept")),
        "report.html: a number": number("report.html"),
        "README.md: a number": number("README.md"),
        "croissant.json: a size": number("croissant.json"),
        "licenses.csv: a number": number("licenses.csv"),
        "run.yaml: a threshold": text("run.yaml", "min: 60", "min: 61"),
        "cot: last row missing": rows_of("cot/part-*", without_last, "cot/"),
        "cot: first two rows exchanged, ids as before": lambda r, _: _swap_cot(r),
    }  # fmt: skip
    for name in (
        "url",
        "license",
        "source_id",
        "n_tokens",
        "lineage",
        "language_score",
        "quality_bucket",
        "cluster_size",
    ):
        kinds[f"data and mix: {name} rolled"] = roll_everywhere(name)
    for name in ("rule", "keeper_id", "cluster", "similarity", "copies", "source_id", "flags", "duplicate", "language",
                 "text_digest", "row_digest", "digest"):  # fmt: skip
        kinds[f"ledger: {name} rolled"] = roll("ledger/part-*", name)
    for name in ("question", "steps", "answer", "spans", "kinds", "support", "parent_id", "doc_id"):
        kinds[f"cot: {name} rolled"] = roll("cot/part-*", name)
    return [Kind(name, change, True) for name, change in kinds.items()]


def _swap_cot(release: Path) -> list[str]:
    path = sorted(release.glob("cot/part-*"))[0]
    edit(path, lambda t: t.take(pa.array(first_two(len(t)))).set_column(0, t.schema.field(0), t["doc_id"]))
    return [path.relative_to(release).as_posix(), *pq.read_table(path)["doc_id"].to_pylist()[:2]]
