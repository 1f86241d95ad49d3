"""Compare main-text extraction with other libraries on pages with a known gold text: quality and speed, zh and en.

A page's score is F1 over the bags of its tokens and over its 5-grams (ROUGE-5); a token is a Han, kana or Hangul
character, or a run of other letters and digits. A page on which a tool fails scores 0. Speed is pages per second of CPU
time on one core, best of --repeats. Sources are split into `development`, used to choose settings, and `held out`. For
a few Chinese news pages the gold text is the passage between two manually chosen phrases.

A folder is a copy of scrapinghub/article-extraction-benchmark: 181 pages of news and blogs of which people marked the
article bodies, without headline, captions and summaries, which are text here. The pages are measured as they are, and
without those lines of a tool's text that are in a headline, title, caption or description of the page and not in its
body ("own lines"). A folder may also be `dev` or `test` of Murrough-Foley/web-content-extraction-benchmark (WCXB):
pages of seven kinds, by kind.

Example: ~/extract-env/bin/python -m scripts.bench.bench_extract web_pages.parquet web_pages_thirdparty.parquet \\
    web_gold_zh.parquet article-extraction-benchmark
(in an environment made from scripts/bench/requirements-extract.txt)
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import time
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pyarrow.parquet as pq

TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+"
)

HELD_OUT = ("owasp-site", "news, marked")
"""Sources not used to choose any setting of the extractor; half of the pages of Readability's tests as well."""

MARKED = {
    "samples/detail/china_news1.html": ("编者按：突如其来", "北京大学经济学院教授)"),
    "samples/detail/ifeng_news1.html": ("“我的名字叫紫禁城", "作者：上官云 宋宇晟"),
    "samples/detail/ifeng_news1_detail_20220630.html": ("“我的名字叫紫禁城", "作者：上官云 宋宇晟"),
    "samples/detail/netease_news1.html": ("（原标题：美国新冠", "地方政府制定相应的经济活动开放或限制措施。"),
    "tests/data/content/test_bbc_chinese.html": ("港特首梁振英就住宅", "提出不信任动议。"),
}
"""Chinese news pages without a gold text: path, first and last phrase of the article."""

DESCRIPTIONS = ("description", "og:description", "twitter:description", "og:title")
"""Names of `<meta>` with the summary or the title of a page."""

LEAST_LETTERS = 3
"""Lines of at most so many letters are left as they are."""

Extract = Callable[[str], str]


class Page(NamedTuple):
    """A page with its gold text and source."""

    source: str
    language: str
    html: str
    gold: str
    held_out: bool
    aside: tuple[
        str, ...
    ] = ()  # letters of headline, captions and summaries, if lines with them are left out


def tokens(text: str) -> list[str]:
    """Split a text: one Han, kana or Hangul character, or one run of other letters and digits."""
    return TOKEN.findall(text.lower())


def f1(predicted: list[str], gold: list[str], n: int) -> tuple[float, float, float]:
    """F1, precision and recall over bags of n-grams."""
    a, b = (Counter(zip(*(x[i:] for i in range(n)), strict=False)) for x in (predicted, gold))
    both = (a & b).total()
    if not both:
        return 0.0, 0.0, 0.0
    precision, recall = both / a.total(), both / b.total()
    return 2 * precision * recall / (precision + recall), precision, recall


def tools() -> Iterator[tuple[str, Extract]]:
    """Yield the tools whose packages are installed."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    from stages.extraction.main_text import parse, text_of

    skip = ["noframes", "noembed", "template", "script", "style"]
    yield "bicorpus", lambda html: text_of(parse(html))
    yield (
        "resiliparse",
        lambda html: extract_plain_text(
            HTMLTree.parse(html), main_content=True, alt_texts=False, skip_elements=skip
        ),
    )
    for maker in (_trafilatura, _magic_html, _lxml_tools, _own_parsers, _selectolax):
        try:
            yield from maker()
        except ImportError as error:
            click.echo(f"skipped: {error}", err=True)


def _trafilatura() -> Iterator[tuple[str, Extract]]:
    import trafilatura

    def extractor(options: dict[str, bool]) -> Extract:
        return lambda html: trafilatura.extract(html, include_comments=False, **options) or ""

    variants: dict[str, dict[str, bool]] = {
        "trafilatura": {},
        "trafilatura, fast": {"fast": True},
        "trafilatura, precision": {"favor_precision": True},
        "trafilatura, recall": {"favor_recall": True},
    }
    for name, options in variants.items():
        yield name, extractor(options)


def _magic_html() -> Iterator[tuple[str, Extract]]:
    import html_text
    from magic_html import GeneralExtractor

    extractor = GeneralExtractor()
    yield (
        "magic-html",
        lambda html: html_text.extract_text(extractor.extract(html, base_url="").get("html") or ""),
    )


def _lxml_tools() -> Iterator[tuple[str, Extract]]:
    import html_text
    import justext
    from inscriptis import get_text
    from readability import Document

    yield "readability-lxml", lambda html: html_text.extract_text(Document(html).summary())
    yield "html-text", html_text.extract_text
    yield "inscriptis", get_text
    english = justext.get_stoplist("English")

    def by_blocks(html: str) -> str:
        if len(re.findall(r"[\u4e00-\u9fff]", html)) > 300:  # it has no Chinese stop words
            blocks = justext.justext(html, frozenset(), stopwords_low=0, stopwords_high=0)
        else:
            blocks = justext.justext(html, english)
        return "\n".join(block.text for block in blocks if not block.is_boilerplate)

    yield "jusText", by_blocks


def _own_parsers() -> Iterator[tuple[str, Extract]]:
    import newspaper
    from boilerpy3 import extractors
    from goose3 import Goose
    from goose3.text import StopWordsChinese

    boiler = extractors.ArticleExtractor(raise_on_failure=False)
    yield "boilerpy3", boiler.get_content
    en, zh = Goose(), Goose({"stopwords_class": StopWordsChinese})

    def goose(html: str) -> str:
        chinese = len(re.findall(r"[\u4e00-\u9fff]", html)) > 300
        return (zh if chinese else en).extract(raw_html=html).cleaned_text

    yield "goose3", goose

    def news(html: str) -> str:
        article = newspaper.Article("https://example.org/a", fetch_images=False)
        article.download(input_html=html)
        article.parse()
        return article.text

    yield "newspaper4k", news


def _selectolax() -> Iterator[tuple[str, Extract]]:
    from selectolax.lexbor import LexborHTMLParser

    def strip(html: str) -> str:
        tree = LexborHTMLParser(html)
        tree.strip_tags(["script", "style", "nav", "footer", "header", "aside", "noscript", "form"])
        main = tree.css_first("article") or tree.css_first("main") or tree.body
        return main.text(separator="\n") if main else ""

    yield "selectolax, article or main", strip


def read(paths: tuple[str, ...], limit: int) -> list[Page]:
    """Read pages with a gold text, at most `limit` per source and language, evenly spaced."""
    groups: dict[tuple[str, str], list[Page]] = defaultdict(list)
    for path in paths:
        if Path(path).is_dir():
            read_folder = read_kinds if Path(path, "ground-truth").is_dir() else read_articles
            for page in read_folder(Path(path)):
                groups[page.source, page.language].append(page)
            continue
        for row in pq.read_table(path).to_pylist():
            html = row["html"].decode("utf-8", "replace")
            hint = row.get("lang_hint", "zh")
            language = "zh" if hint.startswith("zh") else "en" if hint[:2] == "en" else "other"
            source, gold = row["source"], row["gold_text"]
            if "kind" in row:  # pages of many sites: group by kind, split by page
                source = f"gold, {row['kind']}"
            if row["path"] in MARKED:
                source, gold = "news, marked", between(html, *MARKED[row["path"]])
            if gold:
                held_out = (
                    source in HELD_OUT
                    or (source == "readability-tests" and zlib.crc32(row["path"].encode()) % 2)
                    or ("kind" in row and zlib.crc32(row["id"].encode()) % 2)
                )
                groups[source, language].append(Page(source, language, html, gold, bool(held_out)))
    return [page for pages in groups.values() for page in pages[:: max(1, -(-len(pages) // limit))]]


def read_articles(folder: Path) -> Iterator[Page]:
    """Read the pages of a copy of scrapinghub/article-extraction-benchmark; 38 of 181 are held out."""
    truth = json.loads((folder / "ground-truth.json").read_text("utf-8"))
    for key, row in truth.items():
        html = gzip.decompress((folder / "html" / f"{key}.html.gz").read_bytes()).decode("utf-8", "replace")
        held_out = bool(int(key[:8], 16) % 2 and int(key[8:10], 16) % 2)
        gold = row["articleBody"]
        yield Page("article bodies", "en", html, gold, held_out)
        yield Page("article bodies, own lines", "en", html, gold, held_out, tuple(_aside(html)))


def _aside(html: str) -> Iterator[str]:
    """Letters of the headline, the titles, the captions and the descriptions of a page."""
    from resiliparse.parse.html import HTMLTree

    document = HTMLTree.parse(html).document
    assert document is not None, "a page of text has a document"
    found = [node.text for node in document.query_selector_all("h1, title, figcaption, [class*=caption]")]
    for node in document.query_selector_all("meta"):
        if (node.getattr("name") or node.getattr("property") or "").lower() in DESCRIPTIONS:
            found.append(node.getattr("content"))
    for text in filter(None, found):
        yield from filter(None, map(letters, {text, *text.split("\n")}))


def letters(text: str) -> str:
    """The letters and digits of a text in lower case."""
    return "".join(filter(str.isalnum, text)).lower()


def own_lines(text: str, page: Page) -> str:
    """A text without lines that are in a headline, caption or summary of the page, or are one, and not in the gold
    text."""
    if not page.aside:
        return text
    gold, kept = letters(page.gold), []
    for line in text.split("\n"):
        short = letters(line)
        is_aside = any(short in a or (a in short and len(a) > 0.8 * len(short)) for a in page.aside)
        if len(short) <= LEAST_LETTERS or short in gold or not is_aside:
            kept.append(line)
    return "\n".join(kept)


def read_kinds(folder: Path) -> Iterator[Page]:
    """Read the pages of a folder of WCXB that have a gold text; those of its folder `test` are held out."""
    for path in sorted(folder.glob("ground-truth/*.json")):
        row = json.loads(path.read_text("utf-8"))
        gold, kind = row["ground_truth"].get("main_content"), row["_internal"]["page_type"]["primary"]
        page = folder / "html" / f"{path.stem}.html.gz"
        if gold and page.exists():
            html = gzip.decompress(page.read_bytes()).decode("utf-8", "replace")
            yield Page(f"WCXB {kind}", "en", html, gold, folder.name == "test")


def between(html: str, first: str, last: str) -> str:
    """The plain text of a page from the line with the phrase `first` to the end of the phrase `last`."""
    from resiliparse.extract.html2text import extract_plain_text

    text = extract_plain_text(html, main_content=True, alt_texts=False)
    start = text.rindex("\n", 0, text.index(first)) if "\n" in text[: text.index(first)] else 0
    return text[start : text.index(last, start) + len(last)]


def measure(extract: Extract, pages: list[Page], repeats: int) -> dict[str, float]:
    """Mean scores, number of failures and speed of one tool on some pages."""
    scores = []
    failures, best_s = 0, float("inf")
    for turn in range(repeats):
        cpu_s = 0.0
        for page in pages:
            start = time.process_time()
            try:
                text = extract(page.html)
            except Exception:  # any error of a tool counts as a failed page
                text = None
            cpu_s += time.process_time() - start
            if turn == 0:
                failures += text is None
                predicted, gold = tokens(own_lines(text or "", page)), tokens(page.gold)
                scores.append((*f1(predicted, gold, 1), f1(predicted, gold, 5)[0]))
        best_s = min(best_s, cpu_s)
    means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
    names = ("f1", "precision", "recall", "rouge5")
    return {**dict(zip(names, means, strict=True)), "failures": failures, "pages_per_s": len(pages) / best_s}


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--limit", default=100, help="Pages per source and language.")
@click.option("--repeats", default=1, help="Repeats; the fastest one counts.")
@click.option("--only", multiple=True, help="Tools to run, by name.")
@click.option("--json", "json_path", help="Also write the results as JSON to this path.")
def main(
    paths: tuple[str, ...], limit: int, repeats: int, only: tuple[str, ...], json_path: str | None
) -> None:
    """Compare extractors on pages with gold texts; print a Markdown table."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    groups: dict[tuple[str, str, bool], list[Page]] = defaultdict(list)
    for page in read(paths, limit):
        groups[page.language, page.source, page.held_out].append(page)
    rows: list[dict[str, Any]] = []
    for name, extract in tools():
        if only and name not in only:
            continue
        for (language, source, held_out), pages in sorted(groups.items()):
            result = measure(extract, pages, repeats)
            rows.append(
                {
                    "tool": name,
                    "language": language,
                    "source": source,
                    "held_out": held_out,
                    "pages": len(pages),
                }
                | result
            )
            click.echo(f"{name}: {language} {source}: {result['f1']:.3f}", err=True)
    click.echo(
        "| pages | half | n | extractor | token F1 | ROUGE-5 | precision | recall | failed | pages/s |\n"
        + "|---" * 10
        + "|"
    )
    for row in sorted(
        rows, key=lambda r: (r["language"] != "zh", r["language"], r["source"], r["held_out"], -r["rouge5"])
    ):
        half = "held out" if row["held_out"] else "development"
        click.echo(
            f"| {row['language']} {row['source']} | {half} | {row['pages']} | {row['tool']} "
            f"| {row['f1']:.3f} | {row['rouge5']:.3f} | {row['precision']:.3f} | {row['recall']:.3f} "
            f"| {row['failures']} | {row['pages_per_s']:.0f} |"
        )
    if json_path:
        with open(json_path, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
