"""Run the inputs of other projects' tests through the stages and compare with what those tests expect; Markdown.

The inputs are read from checkouts of datatrove, Data-Juicer, NeMo Curator and text-dedup (each argument is one of them)
and are not part of this repository. Test files are parsed, never run: literals, names bound to literals, `+`, `*` and
f-strings of literals are evaluated. A check is one text, URL or pair with one expected outcome. A disagreement is not a
fault by itself: docs/peer-fixtures.md gives the reason for each.

Example: python -m scripts.bench.peer_fixtures ../datatrove ../data-juicer ../Curator ../text-dedup
"""

from __future__ import annotations

import ast
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from classifiers import language
from pipeline.rules.parse import parse_rules
from pipeline.rules.rules import judge_rules
from pipeline.spans import apply_spans
from stages import conversion, pii, signals
from stages.decoding.mojibake import repair
from stages.dedup import cluster_texts, exact
from stages.languages import presets
from stages.web import urls

Names = Mapping[str, Any]  # Any: literals of a test file


@dataclass(frozen=True)
class Check:
    """One expected outcome. group: a row of the table; right, found: what the test expects and what the stage gives."""

    group: str
    text: str
    right: object
    found: object


class NotLiteralError(Exception):
    """An expression that is not made of literals."""


def value(node: ast.expr, names: Names) -> Any:  # Any: a literal
    """Evaluate an expression of literals. Raises: NotLiteralError."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name() if node.id in names:
            return names[node.id]
        case ast.List() | ast.Tuple():
            return [value(item, names) for item in node.elts]
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            return {value(key, names): value(item, names) for key, item in pairs if key is not None}
        case ast.BinOp(op=ast.Add()):
            return value(node.left, names) + value(node.right, names)
        case ast.BinOp(op=ast.Mult()):
            return value(node.left, names) * value(node.right, names)
        case ast.UnaryOp(op=ast.USub()):
            return -value(node.operand, names)
        case ast.JoinedStr():
            return "".join(str(value(part, names)) for part in node.values)
        case ast.FormattedValue(format_spec=None):
            return value(node.value, names)
    raise NotLiteralError(ast.unparse(node))


def constants(body: Sequence[ast.stmt], names: Names) -> dict[str, Any]:  # Any: literals
    """Names that statements bind to literals, beside those known already."""
    found = dict(names)
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = value(statement.value, found)
            except (NotLiteralError, TypeError):
                continue
    return found


def functions(path: Path) -> Iterator[tuple[ast.FunctionDef, dict[str, Any]]]:
    """Test functions of a file, each with the names that it and the module bind to literals."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    outer = constants(tree.body, {})
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and "test" in node.name:
            yield node, constants(node.body, outer)


def calls(node: ast.AST, name: str) -> Iterator[ast.Call]:
    """Calls of a function or method inside a node."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and ast.unparse(inner.func).rpartition(".")[2] == name:
            yield inner


def arguments(call: ast.Call, names: Names) -> dict[str, Any]:  # Any: literals
    """Keyword arguments of a call that are literals."""
    return {k.arg: value(k.value, names) for k in call.keywords if k.arg}


def texts(values: Sequence[str], **columns: object) -> pa.Table:
    """A table of documents."""
    return pa.table(
        {"text": pa.array(values, pa.large_string())} | {k: pa.array(v) for k, v in columns.items()}
    )


def labels(values: Sequence[str]) -> list[str]:
    """Language of each text."""
    return language.STAGE.load(language.Config())(texts(values))["label"].to_pylist()


def masked(values: Sequence[str], replace: Mapping[str, str]) -> list[str]:
    """Texts with spans of personal data replaced. replace: kind of span -> text in its place."""
    rows = pii.STAGE.load(pii.Config(kinds=tuple(replace)))(texts(values))["spans"].to_pylist()
    return [
        apply_spans(text, [(s["start"], s["end"], s["kind"]) for s in spans], replace)
        for text, spans in zip(values, rows, strict=True)
    ]


def copies(values: Sequence[str]) -> list[str]:
    """Texts that near-duplicate removal keeps, in order."""
    keepers = cluster_texts(values)["keeper"].to_pylist()
    return [text for row, text in enumerate(values) if keepers[row] == row]


# datatrove


def datatrove_urls(root: Path) -> Iterator[Check]:
    """URLs against extra domains: a list of domains with everything below them."""
    for node, names in functions(root / "tests/pipeline/filters/test_filters.py"):
        if node.name != "test_url":
            continue
        domains = arguments(next(calls(node, "URLFilter")), names)["extra_domains"]
        loop = next(inner for inner in ast.walk(node) if isinstance(inner, ast.For))
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
            listed.write("\n".join(domains))
            listed.flush()
            config = urls.Config(block_suffixes={"extra": listed.name}, own_words=False)
            for url, right in value(loop.iter, names):
                blocked = urls.STAGE.load(config)(pa.table({"url": [url]}))["blocked"][0].as_py()
                yield Check("datatrove URL filter", url, right is True, not blocked)


def datatrove_pii(root: Path) -> Iterator[Check]:
    """Lines with e-mail and IP addresses, before and after."""
    path = root / "tests/pipeline/filters/test_pii_removal.py"
    names = constants(ast.parse(path.read_text(encoding="utf-8")).body, {})
    replace = {"email": "EMAIL", "ip": "IP"}
    for kind in ("IP", "EMAIL"):
        before, after = (names[f"{kind}_TEST_{part}"].split("\n") for part in ("INPUT", "OUTPUT"))
        for text, right, found in zip(before, after, masked(before, replace), strict=True):
            if text:
                yield Check("datatrove PII formatter, lines", text, right, found)


def datatrove_language(root: Path) -> Iterator[Check]:
    """Languages of sentences."""
    codes = {"en": "eng_Latn", "fr": "fra_Latn", "pt": "por_Latn", "it": "ita_Latn"}
    for node, names in functions(root / "tests/pipeline/filters/test_filters.py"):
        if node.name == "test_language":
            given = [
                value(k.value, names) for c in calls(node, "Document") for k in c.keywords if k.arg == "text"
            ]
            asserts = [c.args for c in calls(node, "assertEqual") if "language" in ast.unparse(c.args[0])]
            for text, args, label in zip(given, asserts, labels(given), strict=True):
                yield Check("datatrove language filter", text, codes[value(args[1], names)], label)


GOPHER = {
    "dup_line_frac": "duplicate_lines", "dup_para_frac": "duplicate_paragraphs",
    "dup_para_char_frac": "duplicate_paragraph_chars", "dup_line_char_frac": "duplicate_line_chars",
    "top_2_gram": "top_2_gram", "top_3_gram": "top_3_gram", "duplicated_5_n_grams": "duplicate_5_grams",
    "gopher_short_doc": "too_short", "gopher_below_avg_threshold": "odd_word_length",
    "gopher_above_avg_threshold": "odd_word_length", "gopher_too_many_hashes": "hash_marks",
    "gopher_too_many_ellipsis": "ellipses", "gopher_below_alpha_threshold": "few_alphabetic_words",
}  # fmt: skip
"""datatrove's reason -> rule of the preset `gopher`."""


def datatrove_gopher(root: Path) -> Iterator[Check]:
    """Texts that one of Gopher's rules drops: the rule of the same meaning fails."""
    rules = parse_rules(
        [{k: v for k, v in rule.items() if k != "where"} for rule in presets()["gopher"]], "gopher"
    )
    numbers = {rule.name: i for i, rule in enumerate(rules)}
    for node, names in functions(root / "tests/pipeline/filters/test_filters.py"):
        if not node.name.startswith("test_gopher"):
            continue
        for call in calls(node, "check_filter"):
            reason, names_here = value(call.args[2], names), dict(names)
            document = call.args[1]
            if isinstance(document, ast.Name):  # the last `doc = get_doc(...)` above
                bound = [
                    s for s in node.body
                    if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == document.id and s.lineno < call.lineno
                ]  # fmt: skip
                document = bound[-1].value
            assert isinstance(document, ast.Call)
            for s in node.body:  # `text` is bound several times
                if isinstance(s, ast.Assign) and s.lineno < call.lineno:
                    names_here = constants([s], names_here)
            text = value(document.args[0], names_here)
            failed = judge_rules(rules, signal_columns([text])).failed[numbers[GOPHER[reason]], 0]
            yield Check("datatrove Gopher filters", text, True, bool(failed))


def signal_columns(values: Sequence[str], label: str = "eng_Latn") -> dict[str, pa.ChunkedArray]:
    """Columns of stages.signals, with its name in front. label: language of the texts."""
    table = texts(values, **{"language.label": [label] * len(values)})
    found = signals.STAGE.load(signals.Config())(table)
    columns = {
        f"signals.{name}": pa.chunked_array([found[name].combine_chunks()]) for name in found.column_names
    }
    return columns | {"language.label": pa.chunked_array([table["language.label"].combine_chunks()])}


# Data-Juicer


Mapper = Callable[[list[str], ast.FunctionDef, Names], "list[str] | None"]
"""Our results for texts, given the test and its names; None if the product does not offer what is tested."""


def mapper_checks(path: Path, group: str, run: Mapper) -> Iterator[Check]:
    """Samples with `text` and `target`."""
    for node, names in functions(path):
        samples = names.get("samples")
        if node.name.startswith("test") and samples:
            found = run([sample["text"] for sample in samples], node, names)
            for sample, text in zip(samples, found or (), strict=found is not None):
                yield Check(group, sample["text"], sample["target"], text)


def masked_as(kind: str, mapper: str) -> Mapper:
    """Masking of one kind, with the replacement that the test gives to its mapper."""

    def run(values: list[str], node: ast.FunctionDef, names: Names) -> list[str]:
        return masked(values, {kind: arguments(next(calls(node, mapper)), names).get("repl", "")})

    return run


def converted(values: list[str], node: ast.FunctionDef, names: Names) -> list[str] | None:
    """Conversion by the scheme in the name of the test, between Traditional and Simplified."""
    scheme = node.name.removeprefix("test_")
    if scheme not in (*conversion.TO_SIMPLIFIED, *conversion.TO_TRADITIONAL):
        return None
    return conversion.convert_texts(pa.array(values, pa.large_string()), scheme)


def data_juicer(root: Path) -> Iterator[Check]:
    """Mappers, the language filter and document deduplication."""
    ops = root / "tests/ops"
    yield from mapper_checks(
        ops / "mapper/test_clean_email_mapper.py",
        "Data-Juicer e-mail",
        masked_as("email", "CleanEmailMapper"),
    )
    yield from mapper_checks(
        ops / "mapper/test_clean_ip_mapper.py", "Data-Juicer IP", masked_as("ip", "CleanIpMapper")
    )
    yield from mapper_checks(
        ops / "mapper/test_fix_unicode_mapper.py",
        "Data-Juicer Unicode repair",
        lambda v, *_: [repair(t)[0] for t in v],
    )
    yield from mapper_checks(
        ops / "mapper/test_chinese_convert_mapper.py", "Data-Juicer Chinese conversion", converted
    )
    for node, names in functions(ops / "filter/test_language_id_score_filter.py"):
        codes = {"test_en_case": ("eng_Latn",), "test_zh_case": ("zho_Hans", "zho_Hant")}.get(node.name)
        if codes:
            given, kept = ([row["text"] for row in names[key]] for key in ("ds_list", "tgt_list"))
            for text, label in zip(given, labels(given), strict=True):
                yield Check("Data-Juicer language, label", text, text in kept, label in codes)
    for name, group in (
        ("test_document_deduplicator", "Data-Juicer exact dedup"),
        ("test_document_minhash_deduplicator", "Data-Juicer MinHash dedup"),
    ):
        for node, names in functions(ops / f"deduplicator/{name}.py"):
            if "ds_list" not in names or "tgt_list" not in names:
                continue
            made = [arguments(c, names) for c in calls(node, "DocumentDeduplicator")]
            if any(not a.get("lowercase", True) for a in made):
                continue  # case counts there
            given, kept = ([row["text"] for row in names[key]] for key in ("ds_list", "tgt_list"))
            yield Check(group, f"{node.name}: {len(given)} texts", len(kept), len(copies(given)))


# NeMo Curator

CURATOR: dict[str, tuple[str, dict[str, float]]] = {
    "NonAlphaNumericFilter": ("alpha_char_share", {"min": 0.75}),
    "WordCountFilter": ("n_words", {}),
    "LongWordFilter": ("max_run_chars", {"max": 1000}),
    "MeanWordLengthFilter": ("mean_word_chars", {"min": 3, "max": 10}),
    "BulletsFilter": ("bullet_line_share", {"max": 0.9}),
    "EllipsisFilter": ("ellipsis_line_share", {"max": 0.3}),
    "PunctuationFilter": ("terminal_line_share", {"min": 0.15}),
    "RepeatedLinesFilter": ("duplicate_line_share", {"max": 0.3}),
    "RepeatedParagraphsFilter": ("duplicate_paragraph_share", {"max": 0.3}),
    "RepeatedLinesByCharFilter": ("duplicate_line_char_share", {"max": 0.2}),
    "RepeatedParagraphsByCharFilter": ("duplicate_paragraph_char_share", {"max": 0.2}),
    "RepeatingTopNGramsFilter": ("top_2_gram_char_share", {"max": 0.2}),
    "CommonEnglishWordsFilter": ("stop_word_count", {"min": 2}),
    "WordsWithoutAlphabetsFilter": ("alpha_word_share", {"min": 0.8}),
}
"""Filter -> signal with the same purpose, and its bounds unless the test gives others."""

BOUNDS = {
    "max_word_length": ("max", 1), "min_words": ("min", 1), "max_words": ("max", 1),
    "max_num_lines_ending_with_ellipsis_ratio": ("max", 1), "max_num_sentences_without_endmark_ratio": ("min", -1),
}  # fmt: skip
"""Argument of a filter -> bound of our signal; -1: one minus the argument."""


def curator(root: Path) -> Iterator[Check]:
    """Heuristic filters: which of a list of texts are kept."""
    for node, names in functions(root / "tests/stages/text/modules/test_filters.py"):
        made = {
            c.func.id: c for c in ast.walk(node) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)
        }
        name = next((n for n in CURATOR if n in made), None)
        if name is None or "list_to_dataset" not in made or "lang" in arguments(made[name], names):
            continue
        column, test = CURATOR[name]
        given = value(made["list_to_dataset"].args[0], names)
        for key, bound in arguments(made[name], names).items():
            side, sign = BOUNDS[key]
            test = {**test, side: bound if sign > 0 else 1 - bound}
        frames = [value(c.args[0], names) for c in calls(node, "DataFrame")]
        columns = signal_columns(given)
        if f"signals.{column}" not in columns:
            columns["signals.alpha_char_share"] = columns["signals.letter_share"]
            column = "alpha_char_share"
        rule = parse_rules([{"name": "r", f"signals.{column}": test, "if_null": "drop"}], name)
        failed = judge_rules(rule, columns).failed[0]
        for text, fails in zip(given, failed.tolist(), strict=True):
            yield Check("NeMo Curator heuristics", f"{name}: {text}", text in frames[0]["text"], not fails)


# text-dedup


def text_dedup(root: Path) -> Iterator[Check]:
    """Normalisation as equality: a text and its normalised form have one match hash; texts with digits are left out."""
    pairs = [
        (value(c.left.args[0], names), value(c.comparators[0], names))
        for node, names in functions(root / "tests/test_utils/test_preprocess.py")
        for c in ast.walk(node)
        if isinstance(c, ast.Compare)
        and isinstance(c.left, ast.Call)
        and ast.unparse(c.left.func) == "normalize"
    ]
    annotate = exact.STAGE.load(exact.STAGE.config())
    for text, normal in pairs:
        if normal.strip() and not any(char.isdigit() for char in text):
            hashes = annotate(texts([text, normal]))["match_hash"].to_pylist()
            yield Check("text-dedup normalisation", text, True, hashes[0] == hashes[1])


PEERS: dict[str, tuple[str, tuple[Callable[[Path], Iterator[Check]], ...]]] = {
    "datatrove": (
        "tests/pipeline/filters/test_pii_removal.py",
        (datatrove_gopher, datatrove_language, datatrove_urls, datatrove_pii),
    ),
    "Data-Juicer": ("tests/ops/mapper/test_clean_ip_mapper.py", (data_juicer,)),
    "NeMo Curator": ("tests/stages/text/modules/test_filters.py", (curator,)),
    "text-dedup": ("tests/test_utils/test_preprocess.py", (text_dedup,)),
}
"""Project -> a file that only its checkout has, and its checks."""


@click.command(help=__doc__)
@click.argument(
    "checkouts", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
def main(checkouts: tuple[Path, ...]) -> None:
    """Compare and print."""
    checks: list[Check] = []
    for root in checkouts:
        known = [run for mark, runs in PEERS.values() if (root / mark).exists() for run in runs]
        if not known:
            raise click.UsageError(f"{root} is no checkout of {', '.join(PEERS)}")
        checks += [check for run in known for check in run(root)]
    totals = Counter(check.group for check in checks)
    agreed = Counter(check.group for check in checks if check.right == check.found)
    print("| fixtures | agree | checks |\n| --- | ---: | ---: |")
    for group, n in totals.items():
        print(f"| {group} | {agreed[group]} | {n} |")
    print(f"| all | {agreed.total()} | {totals.total()} |\n")
    for check in checks:
        if check.right != check.found:
            print(
                f"- {check.group}: `{check.text[:100]!r}` expected {check.right!r:.100}, found {check.found!r:.100}"
            )


if __name__ == "__main__":
    main()
