"""Measure deduplication against known pairs of documents; prints Markdown.

DOCS has the columns doc_id, text, lang, key (the file of which a text is a version) and kind; PAIRS has id_a, id_b,
jaccard5 for pairs within one language; the similarity of a removed document and its keeper that are not listed is
computed (`exact_jaccard`). Each language is deduplicated
by `stages.dedup.cluster_texts` at its default threshold. A pair is `met` (a candidate pair) if it shares a band key or
the match hash, and `merged` if both documents are in one cluster and at most one is kept.

Options measure cases that are not in PAIRS: Simplified and Traditional versions of a text, and texts that differ in
their numbers only.

Example: python -m scripts.bench.dedup_truth dedup_docs.parquet dedup_pairs.parquet --hant docs-*.parquet \
    --numbers problems.parquet
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import minhash
from stages.dedup import cluster_texts, exact

THRESHOLD = 0.8
BINS = (0.2, 0.5, 0.7, 0.8, 0.9, 1.0)
UNLIKE = 0.5
"""A removal in favour of a keeper less similar than this is a mistake."""

N_TWINS, N_PROBLEMS, N_NOTICES = 500, 1000, 40
MIN_TWIN_CHARS = 200

NOTICES = (
    "Dear resident, water will be shut off at {} {} Street on {} May {} from {}:{} to {}:{}. Please store at least {} "
    "litres per person. For questions call {}-{} and quote work order {}.",
    "Flight {} to gate {} is delayed by {} minutes. The new departure time is {}:{} on {}/{}. Passengers in rows {} to "
    "{} will board first. Your baggage allowance is {} kg; a surcharge of {} dollars applies above it.",
    "Invoice {}: {} units at {} dollars each, discount {} percent, shipping {} dollars, total due {} dollars. Pay by "
    "{} June {} to account {} and mention customer {}.",
    "尊敬的业主：因管网检修，{}号楼至{}号楼将于{}年{}月{}日{}时至{}时停水，请提前储水{}升。咨询电话{}，工单编号{}。",
    "关于第{}批补贴发放的公示：本批共{}户，合计{}万元，人均{}元，公示期为{}年{}月{}日至{}月{}日，监督电话{}，文号〔{}〕{}号。",
    "列车{}次晚点{}分钟，预计{}时{}分到达{}站台，请{}至{}号车厢旅客在{}号检票口等候，退票手续费为票价的{}%，服务热线{}。",
)


@click.command()
@click.argument("docs_path", type=click.Path(exists=True, dir_okay=False))
@click.argument("pairs_path", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--hant",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Documents to convert between scripts.",
)
@click.option(
    "--numbers", type=click.Path(exists=True, dir_okay=False), help="Problems: question, solution, lang."
)
def main(docs_path: str, pairs_path: str, hant: tuple[str, ...], numbers: str | None) -> None:
    """Compare deduplication of DOCS_PATH with the complete pairs of PAIRS_PATH."""
    documents = pq.read_table(docs_path, columns=["doc_id", "text", "lang", "key", "kind"])
    pairs = pq.read_table(pairs_path, columns=["id_a", "id_b", "jaccard5"])
    measured = {}
    for lang in sorted(set(documents["lang"].to_pylist())):
        measured[lang] = measure(documents.filter(pc.equal(documents["lang"], lang)).combine_chunks(), pairs)
    names = ("pairs of 0.8 and more", "met", "both kept", "removed", "of other origin below 0.5")
    lines = ["| language | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [f"| {lang} | " + " | ".join(found[0]) + " |" for lang, found in measured.items()]
    lines += ["", "Pairs, and those of them that are merged, by similarity:", ""]
    lines += ["| language | kind | " + " | ".join(f"{a:g} to {b:g}" for a, b in pairwise(BINS)) + " |"]
    lines += ["|---|---|" + "---:|" * (len(BINS) - 1)]
    for lang, (_, kinds) in measured.items():
        lines += [f"| {lang} | {kind} | " + " | ".join(row) + " |" for kind, row in sorted(kinds.items())]
    if hant:
        lines += ["", *report("conversion", twins(hant))]
    if numbers:
        lines += ["", *report("numbers changed", templated(numbers))]
    click.echo("\n".join(lines))


def measure(documents: pa.Table, pairs: pa.Table) -> tuple[list[str], dict[str, list[str]]]:
    """The figures of one language, and the share of merged pairs by kind and similarity."""
    row_of = {doc_id: i for i, doc_id in enumerate(documents["doc_id"].to_pylist())}
    truth = {
        (row_of[a], row_of[b]): value
        for a, b, value in zip(*(column.to_pylist() for column in pairs.columns), strict=True)
        if a in row_of and b in row_of
    }
    result = cluster_texts(documents["text"])
    cluster, keeper = result["cluster"].to_pylist(), result["keeper"].to_pylist()
    keys = meeting_keys(documents["text"])
    kinds, origins = documents["kind"].to_pylist(), documents["key"].to_pylist()
    similar = [pair for pair, value in truth.items() if value >= THRESHOLD]
    met = sum(bool(keys[a] & keys[b]) for a, b in similar)
    both = sum(keeper[a] == a and keeper[b] == b for a, b in similar)
    removed = [(i, kept) for i, kept in enumerate(keeper) if i != kept]
    texts, lang = documents["text"].to_pylist(), documents["lang"][0].as_py()
    wrong = sum(
        origins[a] != origins[b] and exact_jaccard(texts[a], texts[b], lang) < UNLIKE for a, b in removed
    )
    table: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((len(BINS) - 1, 2), np.int64))
    for (a, b), value in truth.items():
        column = min(int(np.searchsorted(BINS, value, "right")) - 1, len(BINS) - 2)
        merged = cluster[a] == cluster[b] and not (keeper[a] == a and keeper[b] == b)
        for kind in {kinds[a], kinds[b]} if kinds[a] != kinds[b] else {kinds[a]}:
            if kind == "real" and kinds[a] != kinds[b]:
                continue  # counted with the constructed document
            if column >= 0:
                table[kind][column] += (1, merged)
    figures = [
        str(len(similar)),
        share(met, len(similar)),
        share(both, len(similar)),
        str(len(removed)),
        str(wrong),
    ]
    rows = {kind: [share(m, n, f" of {n}") if n else "" for n, m in counts] for kind, counts in table.items()}
    return figures, rows


def exact_jaccard(left: str, right: str, lang: str) -> float:
    """Jaccard index of the sets of 5-grams, of characters for zh and of words else, three decimals.

    Text is NFKC in lower case, each run of other characters than letters, marks and numbers one blank; none for zh.
    """
    a, b = (_grams(text, lang) for text in (left, right))
    return round(len(a & b) / len(a | b), 3) if a | b else float(left == right)


def _grams(text: str, lang: str) -> set[tuple[str, ...]]:
    words = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).lower()).split()
    units = [*"".join(words)] if lang == "zh" else words
    return {tuple(units[i : i + 5]) for i in range(max(len(units) - 4, min(len(units), 1)))}


def meeting_keys(text: pa.ChunkedArray) -> list[set[object]]:
    """Band keys and match hash of each text; texts that share one of them are candidate pairs."""
    table = pa.table({"text": text})
    bands = minhash.STAGE.load(minhash.Config())(table)["band_keys"].to_pylist()
    hashes = exact.STAGE.load(exact.STAGE.config())(table)["match_hash"].to_pylist()
    return [{*keys, match} for keys, match in zip(bands, hashes, strict=True)]


def twins(paths: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Pairs of a document and its OpenCC conversion, N_TWINS for each direction."""
    import opencc

    texts = [text for path in paths for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
    pairs_of = {}
    for name in ("s2t", "t2s"):
        convert = opencc.OpenCC(name).convert
        rng, pairs = random.Random(1), list[tuple[str, str]]()
        for text in rng.sample(texts, len(texts)):
            if len(text) < MIN_TWIN_CHARS or sum("\u4e00" <= char <= "\u9fff" for char in text) * 2 < len(
                text
            ):
                continue
            converted = convert(text)
            # skips texts already in the target script: more than 5 % of the characters must change
            if sum(a != b for a, b in zip(text, converted, strict=False)) * 20 > len(text):
                pairs.append((text, converted))
            if len(pairs) == N_TWINS:
                break
        pairs_of[name] = pairs
    return pairs_of


def templated(path: str) -> dict[str, list[tuple[str, str]]]:
    """Pairs of a problem or notice and the same text with other numbers."""
    rng, pairs_of = random.Random(2), defaultdict[str, list[tuple[str, str]]](list)
    rows = pq.read_table(path, columns=["question", "solution", "lang", "source"]).to_pylist()
    for row in rng.sample(rows, len(rows)):
        text, name = f"{row['question']}\n{row['solution']}", f"{row['source']} ({row['lang']})"
        if re.search(r"\d", text) and len(pairs_of[name]) < N_PROBLEMS:
            pairs_of[name].append((text, change_numbers(text, rng)))
    for template in NOTICES:
        name = "notices (en)" if template.isascii() else "notices (zh)"
        for _ in range(N_NOTICES):
            numbers = [[rng.randrange(1, 1000) for _ in range(12)] for _ in range(2)]
            pairs_of[name].append((template.format(*numbers[0]), template.format(*numbers[1])))
    return dict(pairs_of)


def change_numbers(text: str, rng: random.Random) -> str:
    """Replace every number by another one with the same number of digits."""

    def another(match: re.Match[str]) -> str:
        digits = match.group()
        others = [str(rng.randrange(10 ** (len(digits) - 1), 10 ** len(digits))) for _ in range(8)]
        return next(
            (other for other in others if other != digits), digits[:-1] + str((int(digits[-1]) + 1) % 10)
        )

    return re.sub(r"[0-9]+", another, text)


def report(title: str, groups: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Table of the share of merged pairs in each group; each group is deduplicated separately."""
    lines = [f"| {title} | pairs | merged |", "|---|---:|---:|"]
    for name, pairs in groups.items():
        clusters = cluster_texts([text for pair in pairs for text in pair])
        cluster, keeper = clusters["cluster"].to_pylist(), clusters["keeper"].to_pylist()
        ends = [(2 * i, 2 * i + 1) for i in range(len(pairs))]
        merged = sum(cluster[a] == cluster[b] and (keeper[a], keeper[b]) != (a, b) for a, b in ends)
        lines.append(f"| {name} | {len(pairs)} | {share(merged, len(pairs))} |")
    return lines


def share(part: int, whole: int, of: str = "") -> str:
    """A share in percent."""
    return f"{100 * part / max(whole, 1):.2f} %{of}"


if __name__ == "__main__":
    main()
