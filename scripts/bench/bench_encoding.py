"""Measure how encodings are told and mojibake is repaired, on text whose truth is known; prints Markdown.

DOCUMENTS are Parquet files (text, lang_hint). Pieces of them are encoded and decoded again without a declaration, and
with a wrong one; then damaged as they are when bytes are read as the wrong encoding, saved and read again. Pieces that
an encoding cannot write are left out, and so are those with too few characters beyond ASCII to say anything.

Example: python -m scripts.bench.bench_encoding docs-*.parquet
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pyarrow.parquet as pq

from stages.readers.encoding import EncodingError, decode
from stages.readers.mojibake import repair

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
"""Encodings, languages (`lang_hint`), and the least share of characters that are not ASCII."""

WRONG = (
    ("cp950", "zh-tw", "gb2312"), ("cp932", "ja", "gb2312"), ("cp949", "ko", "gb2312"), ("euc_jp", "ja", "shift_jis"),
    ("gb18030", "zh-cn", "big5"), ("gb18030", "zh-cn", "euc-kr"), ("gb18030", "zh-cn", "shift_jis"),
    ("gb18030", "zh-cn", "windows-1251"),
)  # fmt: skip
"""Encoding of the text, its language, and what is declared."""

SIZES = (50, 200, 2000)
N_DECLARED = 150
N_FOREIGN = 8

Text = tuple[str, str]
"""A text and its language."""


def pieces(texts: list[Text], languages: Iterable[str], size: int, least: float, limit: int) -> Iterator[str]:
    """The first so many characters of each text in a language, from its first letter beyond ASCII on."""
    n = 0
    for text, language in texts:
        start = next((i for i, char in enumerate(text) if char > "\x7f"), len(text))
        piece = text[start : start + size]
        foreign = sum(char > "\x7f" for char in piece)
        if language in languages and len(piece) == size and foreign >= least * size and n < limit:
            n += 1
            yield piece


def encoded(piece: str, codec: str) -> bytes | None:
    """Bytes of a piece, None if the encoding does not have all of its characters."""
    try:
        return piece.encode(codec)
    except UnicodeEncodeError:
        return None


def told(found: Iterable[tuple[str, str, tuple[str, ...]]]) -> tuple[int, int, int]:
    """How many pieces come back, come back changed, and are refused. Args: piece, codec, what is declared."""
    right = wrong = refused = 0
    for piece, codec, declared in found:
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
    """A row for each kind: pieces that come back and that come back changed, by length."""
    click.echo(f"| encoding | {' | '.join(f'{n:,} characters: right / wrong (pieces)' for n in SIZES)} |")
    click.echo("|---|---|---|---|")
    for name, (codecs, languages, least) in KINDS.items():
        cells = []
        for size in SIZES:
            of = list(pieces(texts, languages, size, least, limit))
            counts = told((piece, codec, ()) for piece in of for codec in codecs)
            n = max(sum(counts), 1)
            cells.append(f"{counts[0] / n:.0%} / {counts[1]} ({sum(counts):,})")
        click.echo(f"| {name} | {' | '.join(cells)} |")


def print_declared(texts: list[Text]) -> None:
    """A row for each wrong declaration: pieces of 1,000 characters that come back, come back changed, are refused."""
    click.echo("\n| text | declared | right | wrong | refused |\n|---|---|---|---|---|")
    for codec, language, label in WRONG:
        of = pieces(texts, (language,), 1000, 0.2, N_DECLARED)
        counts = told((piece, codec, (label,)) for piece in of)
        click.echo(f"| {codec} | {label} | {' | '.join(map(str, counts))} |")


def latin(data: bytes) -> str:
    """Bytes as windows-1252 reads them in browsers: the five that it does not have are control characters."""
    return "".join(
        chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252") for b in data
    )


def damaged(piece: str, accident: str) -> str | None:
    """The piece after an accident; None where it cannot come to it."""
    if accident == "utf-8 as windows-1252":
        return latin(piece.encode())
    if accident == "utf-8 as latin-1":
        return piece.encode().decode("latin-1")
    if accident == "utf-8 as gb18030":
        return piece.encode().decode("gb18030", "replace")
    data = encoded(piece, accident.partition(" ")[0])
    return None if data is None else latin(data)


def print_repairs(texts: list[Text], limit: int) -> None:
    """A row for each accident: damaged pieces, those repaired, and those equal to the piece."""
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
                found, done = repair(broken)
                n, n_repaired, n_exact = n + 1, n_repaired + (done is not None), n_exact + (found == piece)
            shares = [n_repaired / max(n, 1), n_exact / max(n_repaired, 1)]
            click.echo(f"| {accident} | {name} | {n:,} | {' | '.join(f'{share:.0%}' for share in shares)} |")


def print_clean(texts: list[Text]) -> None:
    """How many clean documents repair touches, and how fast it looks at them."""
    n_bytes = sum(len(text.encode()) for text, _ in texts)
    start = time.process_time()
    touched = sum(repair(text)[1] is not None for text, _ in texts)
    seconds = time.process_time() - start
    click.echo(f"\n{touched} of {len(texts):,} clean documents touched; {n_bytes / 1e6 / seconds:.0f} MB/s")


@click.command(help=__doc__)
@click.argument(
    "documents", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--limit", default=400, show_default=True, help="Pieces of each kind.")
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
