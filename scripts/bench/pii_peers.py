"""Personal data by this project, datatrove's formatter or presidio, on the same texts: recall, precision, speed.

    python -m scripts.bench.pii_planted docs.parquet --out planted.parquet
    python -m scripts.bench.pii_peers TOOL --planted planted.parquet --marked marked.parquet --texts docs.parquet

TOOL is `ours`, `datatrove` or `presidio`; each runs in an environment in which it is installed, and only that tool is
imported. presidio needs no model here: its pattern recognisers for Chinese and English text (e-mail, telephone,
address of a host, card, IBAN, MAC, social security number) run on a blank spaCy pipeline, each with its default score;
names and places, which need a model, are left out. A kind that a tool has not counts as missed, since the value is
left in the text, and is printed as `-`. A value counts as found if spans of any kind cover 80 % of it, a near miss as
taken if a span of its kind does. `marked.parquet` is that of `bench_pii`.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Span = tuple[int, int, str]
Find = Callable[[Sequence[str]], list[list[Span]]]

PRESIDIO_KINDS = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip", "CREDIT_CARD": "bank_card",
    "IBAN_CODE": "iban", "MAC_ADDRESS": "mac", "US_SSN": "ssn_us",
}  # fmt: skip
"""Kinds of this project for the entities of presidio that are compared."""

PHONE_KINDS = ("phone", "phone_cn", "tollfree")
"""Kinds that are one kind, telephone numbers, in other tools."""

MARKED_KINDS = (
    "email", "ip", "landline_cn", "mobile_cn", "tollfree_cn", "us", "other_country", "hk_mo_tw", "qq", "wechat",
)  # fmt: skip


def ours() -> tuple[Find, set[str]]:
    """The stage with its default settings."""
    from stages import pii

    annotate = pii.STAGE.load(pii.Config())

    def find(texts: Sequence[str]) -> list[list[Span]]:
        rows = annotate(pa.table({"text": pa.array(texts, pa.large_string())}))["spans"].to_pylist()
        return [[(span["start"], span["end"], span["kind"]) for span in row] for row in rows]

    find(["a@example.org"])  # compiles
    return find, set(pii.Config().kinds)


def datatrove() -> tuple[Find, set[str]]:
    """The patterns and checks of PIIFormatter, which replaces e-mail and public IP addresses."""
    from datatrove.pipeline.formatters import PIIFormatter

    formatter = PIIFormatter()
    forms = {"email": formatter.emails_replacer, "ip": formatter.ip_replacer}

    def spans(text: str) -> Iterator[Span]:
        for kind, form in forms.items():
            for match in form.regex.finditer(text):
                if form.validator is None or form.validator(match.group(0)):
                    yield *match.span(), kind

    return lambda texts: [list(spans(text)) for text in texts], set(forms)


def presidio() -> tuple[Find, set[str]]:
    """AnalyzerEngine with its pattern recognisers, without a model of names; telephone numbers of all its regions and
    of China, Hong Kong and Taiwan."""
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer import predefined_recognizers as forms
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    # the list of public suffixes in the package, not the newest one from the network
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())

    class Blank(SpacyNlpEngine):  # type: ignore[misc]  # not installed where types are checked
        """Words of a pipeline without a model."""

        def __init__(self) -> None:
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

        def is_loaded(self) -> bool:
            return True

    registry = RecognizerRegistry(supported_languages=["en"])
    regions = (*forms.PhoneRecognizer.DEFAULT_SUPPORTED_REGIONS, "CN", "HK", "TW", "MO")
    for recognizer in (
        forms.EmailRecognizer(), forms.PhoneRecognizer(supported_regions=regions), forms.IpRecognizer(),
        forms.CreditCardRecognizer(), forms.IbanRecognizer(), forms.MacAddressRecognizer(), forms.UsSsnRecognizer(),
    ):  # fmt: skip
        registry.add_recognizer(recognizer)
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])

    def find(texts: Sequence[str]) -> list[list[Span]]:
        return [
            [(hit.start, hit.end, PRESIDIO_KINDS[hit.entity_type]) for hit in engine.analyze(text, language="en")
             if hit.entity_type in PRESIDIO_KINDS]
            for text in texts
        ]  # fmt: skip

    return find, {*PRESIDIO_KINDS.values(), *PHONE_KINDS}


TOOLS: dict[str, Callable[[], tuple[Find, set[str]]]] = {
    "ours": ours,
    "datatrove": datatrove,
    "presidio": presidio,
}


def is_covered(start: int, end: int, spans: Sequence[Span]) -> bool:
    """Whether spans cover 80 % of a range."""
    return sum(max(0, min(e, end) - max(s, start)) for s, e, _ in spans) >= 0.8 * (end - start)


def same_kind(kind: str, near: str) -> bool:
    """Whether two names of kinds are the same one, telephone numbers taken together."""
    return kind == near or (kind in PHONE_KINDS and near in PHONE_KINDS)


def window(text: str, start: int, end: int) -> tuple[str, int]:
    """The text around a planted value, 1,000 characters on each side, and where it begins: slow tools read no more."""
    first = max(0, start - 1000)
    return text[first : end + 1000], first


def planted_lines(rows: list[dict[str, Any]], find: Find, kinds: set[str]) -> Iterator[str]:
    """Recall by kind over planted values, and near misses taken."""
    cut = [window(row["text"], row["start"], row["end"]) for row in rows]
    total, hit, near, taken = (Counter[str]() for _ in range(4))
    for row, (_, first), spans in zip(rows, cut, find([text for text, _ in cut]), strict=True):
        start, end = row["start"] - first, row["end"] - first
        if row["kind"]:
            total[row["kind"]] += 1
            hit[row["kind"]] += is_covered(start, end, spans)
        else:
            near[row["near"]] += 1
            own = [span for span in spans if same_kind(span[2], row["near"])]
            taken[row["near"]] += any(s < end and start < e for s, e, _ in own)
    for kind in sorted(total):
        recall = f"{hit[kind] / total[kind]:.3f}" if kind in kinds else "-"
        yield f"{kind:<14}{total[kind]:>6}{recall:>8}   near misses {taken[kind]} of {near[kind]}"


def marked_lines(rows: list[dict[str, Any]], find: Find) -> Iterator[str]:
    """Recall over marked values by kind and in all, precision, look-alikes."""
    marked, hit = Counter[str](), Counter[str]()
    n_spans = n_right = n_alike = n_lookalikes = 0
    for row, spans in zip(rows, find([row["text"] for row in rows]), strict=True):
        for value in row["spans"]:
            if value["kind"] in MARKED_KINDS:
                names = [value["kind"], "all", *(["private"] if value["private"] else [])]
                marked.update(names)
                hit.update(names if any(s < value["end"] and value["start"] < e for s, e, _ in spans) else ())
        n_spans += len(spans)
        n_right += sum(any(s < v["end"] and v["start"] < e for v in row["spans"]) for s, e, _ in spans)
        n_lookalikes += len(row["lookalikes"])
        n_alike += sum(any(s < v["end"] and v["start"] < e for s, e, _ in spans) for v in row["lookalikes"])
    for kind in (*MARKED_KINDS, "all", "private"):
        yield f"{kind:<14}{marked[kind]:>6}{hit[kind] / max(marked[kind], 1):>8.3f}"
    yield f"precision {n_right / max(n_spans, 1):.3f} of {n_spans} spans; look-alikes {n_alike} of {n_lookalikes}"


def speed(texts: list[str], find: Find, n_bytes: int) -> str:
    """Megabytes of text a second of CPU time, over the first texts with n_bytes together."""
    size = n = 0
    while n < len(texts) and size < n_bytes:
        size += len(texts[n].encode())
        n += 1
    begin = time.process_time()
    for start in range(0, n, 256):
        find(texts[start : min(start + 256, n)])
    return f"{size / (time.process_time() - begin) / 1e6:.3g} MB/s, over {size / 1e6:.1f} MB"


def main() -> None:
    """Print the tables of one tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tool", choices=sorted(TOOLS))
    parser.add_argument("--planted", help="Parquet file of pii_planted --out")
    parser.add_argument("--marked", help="Parquet file with the columns text, spans and lookalikes")
    parser.add_argument("--texts", help="Parquet file with a column text, to measure speed")
    parser.add_argument("--speed-bytes", type=int, default=20_000_000)
    arguments = parser.parse_args()
    find, kinds = TOOLS[arguments.tool]()
    if arguments.planted:
        print("\n".join(planted_lines(pq.read_table(arguments.planted).to_pylist(), find, kinds)))
    if arguments.marked:
        print("\n".join(marked_lines(pq.read_table(arguments.marked).to_pylist(), find)))
    if arguments.texts:
        print(
            speed(
                pq.read_table(arguments.texts, columns=["text"])["text"].to_pylist(),
                find,
                arguments.speed_bytes,
            )
        )


if __name__ == "__main__":
    main()
