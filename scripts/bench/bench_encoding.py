"""Measure encoding detection and mojibake repair on text whose true encoding is known; prints Markdown.

DOCUMENTS are Parquet files (text, lang_hint). Excerpts are encoded, then decoded without a declared encoding and with a
wrong one. For repair, excerpts are decoded with the wrong encoding to produce mojibake. Excerpts that an encoding
cannot represent are skipped, and so are excerpts with too few non-ASCII characters to be informative.

Example: python -m scripts.bench.bench_encoding docs-*.parquet
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages.decoding.encoding import EncodingError, decode
from stages.decoding.mojibake import repair

KINDS = {
    "GB18030, Simplified Chinese": (("gb18030",), ("zh-cn",), 0.2),
    "Big5, Traditional Chinese": (("cp950",), ("zh-tw",), 0.2),
    "Shift_JIS, EUC-JP, ISO-2022-JP, Japanese": (("cp932", "euc_jp", "iso2022_jp"), ("ja",), 0.2),
    "EUC-KR, Korean": (("cp949",), ("ko",), 0.2),
    "windows-1252, French, Spanish, Italian, German": (("cp1252",), ("fr", "es", "it", "de"), 0.02),
    "windows-1251, Russian, Belarusian, Bulgarian": (("cp1251",), ("ru", "be", "bg"), 0.2),
    "KOI8-R, Russian": (("koi8_r",), ("ru",), 0.2),
    "windows-1254, Turkish": (("cp1254",), ("tr",), 0.02),
    "UTF-16 without a mark, Chinese and Japanese": (
        ("utf_16_le", "utf_16_be"),
        ("zh-cn", "zh-tw", "ja"),
        0.2,
    ),
}
"""Codecs, languages (`lang_hint`), and the minimum share of non-ASCII characters."""

WRONG = (
    ("cp950", "zh-tw", "gb2312"), ("cp932", "ja", "gb2312"), ("cp949", "ko", "gb2312"), ("euc_jp", "ja", "shift_jis"),
    ("gb18030", "zh-cn", "big5"), ("gb18030", "zh-cn", "euc-kr"), ("gb18030", "zh-cn", "shift_jis"),
    ("gb18030", "zh-cn", "windows-1251"),
)  # fmt: skip
"""Codec of the text, its language, and the declared encoding."""

SIZES = (50, 200, 2000)
N_DECLARED = 150
N_FOREIGN = 8

Text = tuple[str, str]
"""A text and its language hint."""


def pieces(texts: list[Text], languages: Iterable[str], size: int, least: float, limit: int) -> Iterator[str]:
    """Up to `limit` excerpts of `size` characters, one per text, starting at its first non-ASCII character.

    Only texts in `languages`; `least` is the minimum share of non-ASCII characters in the excerpt.
    """
    n = 0
    for text, language in texts:
        start = next((i for i, char in enumerate(text) if char > "\x7f"), len(text))
        piece = text[start : start + size]
        foreign = sum(char > "\x7f" for char in piece)
        if language in languages and len(piece) == size and foreign >= least * size and n < limit:
            n += 1
            yield piece


def encoded(piece: str, codec: str) -> bytes | None:
    """The encoded excerpt, or None if the codec lacks one of its characters."""
    try:
        return piece.encode(codec)
    except UnicodeEncodeError:
        return None


def count_decoded(cases: Iterable[tuple[str, str, tuple[str, ...]]]) -> tuple[int, int, int]:
    """Count excerpts decoded correctly, decoded wrongly, and refused.

    Args: cases, tuples of excerpt, codec and declared encodings.
    """
    right = wrong = refused = 0
    for piece, codec, declared in cases:
        data = encoded(piece, codec)
        if data is None:
            continue
        try:
            same = decode(data, declared)[0] == piece
        except EncodingError:
            refused += 1
        else:
            right, wrong = right + same, wrong + (not same)
    return right, wrong, refused


def print_undeclared(texts: list[Text], limit: int) -> None:
    """Print a row per entry excerpts KINDS: excerpts decoded correctly and wrongly, by length."""
    click.echo(f"| encoding | {' | '.join(f'{n:,} characters: right / wrong (pieces)' for n in SIZES)} |")
    click.echo("|---|---|---|---|")
    for name, (codecs, languages, least) in KINDS.items():
        cells = []
        for size in SIZES:
            excerpts = list(pieces(texts, languages, size, least, limit))
            counts = count_decoded((piece, codec, ()) for piece in excerpts for codec in codecs)
            n = max(sum(counts), 1)
            cells.append(f"{counts[0] / n:.0%} / {counts[1]} ({sum(counts):,})")
        click.echo(f"| {name} | {' | '.join(cells)} |")


def print_declared(texts: list[Text]) -> None:
    """Print a row per wrong declaration: excerpts excerpts 1,000 characters decoded correctly, wrongly, or refused."""
    click.echo("\n| text | declared | right | wrong | refused |\n|---|---|---|---|---|")
    for codec, language, label in WRONG:
        excerpts = pieces(texts, (language,), 1000, 0.2, N_DECLARED)
        counts = count_decoded((piece, codec, (label,)) for piece in excerpts)
        click.echo(f"| {codec} | {label} | {' | '.join(map(str, counts))} |")


def latin(data: bytes) -> str:
    """Decode bytes as browsers decode windows-1252: its five undefined bytes become control characters."""
    return "".join(
        chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252") for b in data
    )


def damaged(piece: str, accident: str) -> str | None:
    """The excerpt as mojibake, or None if the codec cannot represent it."""
    if accident == "utf-8 as windows-1252":
        return latin(piece.encode())
    if accident == "utf-8 as latin-1":
        return piece.encode().decode("latin-1")
    if accident == "utf-8 as gb18030":
        return piece.encode().decode("gb18030", "replace")
    data = encoded(piece, accident.partition(" ")[0])
    return None if data is None else latin(data)


def print_repairs(texts: list[Text], limit: int) -> None:
    """Print a row per kind of mojibake: damaged excerpts, those repaired, and those repaired exactly."""
    click.echo("\n| accident | of | pieces | repaired | of these exactly |\n|---|---|---|---|---|")
    hints = {language for _, language in texts}
    groups = {"Chinese": {"zh-cn"}, "Traditional Chinese": {"zh-tw"}, "English": {"en"}}
    groups["others"] = hints - {"zh-cn", "zh-tw", "lzh", "en"}
    for accident, names in (
        ("utf-8 as windows-1252", ("Chinese", "English", "others")), ("utf-8 as latin-1", ("Chinese",)),
        ("gb18030 as windows-1252", ("Chinese",)), ("cp950 as windows-1252", ("Traditional Chinese",)),
        ("utf-8 as gb18030", ("Chinese",)),
    ):  # fmt: skip
        for name in names:
            n = n_repaired = n_exact = 0
            for text, language in texts:
                piece = text[:2000]
                if (
                    language not in groups[name]
                    or sum(char > "\x7f" for char in piece) < N_FOREIGN
                    or n == limit
                ):
                    continue
                broken = damaged(piece, accident)
                if broken is None:
                    continue
                repaired, done = repair(broken)
                n, n_repaired, n_exact = n + 1, n_repaired + (done is not None), n_exact + (repaired == piece)
            shares = [n_repaired / max(n, 1), n_exact / max(n_repaired, 1)]
            click.echo(f"| {accident} | {name} | {n:,} | {' | '.join(f'{share:.0%}' for share in shares)} |")


def print_clean(texts: list[Text]) -> None:
    """Print how many undamaged documents repair changes, and its speed."""
    n_bytes = sum(len(text.encode()) for text, _ in texts)
    start = time.process_time()
    touched = sum(repair(text)[1] is not None for text, _ in texts)
    seconds = time.process_time() - start
    click.echo(f"\n{touched} of {len(texts):,} clean documents touched; {n_bytes / 1e6 / seconds:.0f} MB/s")


@click.command(help=__doc__)
@click.argument(
    "documents", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--limit", default=400, show_default=True, help="Excerpts per encoding.")
def main(documents: tuple[Path, ...], limit: int) -> None:
    """Print the tables."""
    texts: list[Text] = []
    for path in documents:
        table = pq.read_table(path, columns=["text", "lang_hint"])
        texts += zip(*(table[name].to_pylist() for name in ("text", "lang_hint")), strict=True)
    print_undeclared(texts, limit)
    print_declared(texts)
    print_repairs(texts, limit)
    print_clean(texts)


if __name__ == "__main__":
    main()
