"""A held sample: what the language stage of a release makes of texts of known language."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.report.held import HeldLanguage, confusable, held_lines, held_numbers
from scripts.bench.confusion import confusion
from tests.helpers.build import build, cli, tiny, write_run
from tests.helpers.pages import page_data

SAMPLE = [
    ("The committee published its report on the new bridge yesterday evening.", "eng_Latn"),
    ("Der Ausschuss hat gestern seinen Bericht über die neue Brücke veröffentlicht.", "deu_Latn"),
    ("委员会昨天发表了关于新大桥的报告，市民可以在网上查阅。", "zho_Hans"),
    ("委員會昨天發表了關於新大橋的報告，市民可以在網上查閱。", "zho_Hant"),
    ("委員會噚日發表咗關於新大橋嘅報告，市民可以喺網上睇。", "yue_Hant"),
    ("委員會は昨日、新しい橋についての報告書を公表しました。", "jpn_Jpan"),
    ("위원회는 어제 새 다리에 관한 보고서를 발표했습니다.", "kor_Hang"),
    ("The committee published its report; this row has a wrong label on purpose.", "fra_Latn"),
]
GROUPS = {"romance": ["fra_Latn", "spa_Latn"], "nordic": ["dan_Latn", "nor_Latn"]}


@functools.cache
def folder() -> Path:
    """A finished build whose language stage has groups of confusable languages; SAMPLE beside it."""
    path = Path(tempfile.mkdtemp())
    annotate = [{"use": "classifiers.language", "config": {"groups": GROUPS}}]
    build(write_run(path, tiny(path, annotate=annotate)), path / "store")
    texts, labels = zip(*SAMPLE, strict=True)
    pq.write_table(pa.table({"text": texts, "lang": labels}), path / "held.parquet")
    return path


def release() -> Path:
    """The release of the build."""
    return folder() / "store" / "releases" / "tiny"


def held(rows: list[dict[str, str | None]], tmp_path: Path) -> Path:
    """A held sample as JSON Lines."""
    path = tmp_path / "held.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_recall_precision_and_groups_follow_from_the_counts() -> None:
    """Languages are listed by size; a label that is no language of the sample lowers recall alone."""
    counts = {
        ("hrv_Latn", "hrv_Latn"): 60, ("hrv_Latn", "srp_Latn"): 30, ("hrv_Latn", "und"): 10,
        ("srp_Latn", "srp_Latn"): 45, ("srp_Latn", "hrv_Latn"): 5, ("eng_Latn", "eng_Latn"): 40,
    }  # fmt: skip
    numbers = held_numbers(counts, {}, "classifiers.language", 3)
    assert (numbers.texts, numbers.correct) == (190, 145)
    croatian, serbian, english = numbers.languages
    assert (croatian.language, croatian.texts, croatian.recall, croatian.precision) == (
        "hrv_Latn",
        100,
        0.6,
        0.9231,
    )
    assert list(croatian.labels.items()) == [("hrv_Latn", 60), ("srp_Latn", 30), ("und", 10)]
    assert (serbian.recall, serbian.precision, english.recall) == (0.9, 0.6, 1.0)
    (group,) = numbers.groups
    assert (group.languages, group.texts, group.correct, group.inside) == (
        ["hrv_Latn", "srp_Latn"],
        150,
        105,
        140,
    )
    lines = held_lines(numbers).split("\n")
    assert lines[0].startswith("145 of 190 texts of the held sample have their label (76.3%)")
    assert lines[-1].split() == ["hrv_Latn,", "srp_Latn", "from", "this", "sample", "150", "70.0%", "93.3%"]


def test_only_languages_with_enough_shared_texts_are_confusable() -> None:
    """A link takes 2 % and three texts; `mul`, `zxx` and labels outside the sample link nothing."""

    def row(name: str, **labels: int) -> HeldLanguage:
        n = sum(labels.values())
        return HeldLanguage(language=name, texts=n, correct=0, recall=0, precision=None, labels=labels)

    rows = [
        row("aaa_Latn", aaa_Latn=196, bbb_Latn=4),
        row("bbb_Latn", bbb_Latn=97, ccc_Latn=3),
        row("ccc_Latn", ccc_Latn=100),
        row("ddd_Latn", ddd_Latn=8, eee_Latn=2),
        row("eee_Latn", eee_Latn=500, ddd_Latn=9, zxx=200),
        row("mul", eee_Latn=90, mul=10),
    ]
    assert confusable(rows) == [["aaa_Latn", "bbb_Latn", "ccc_Latn"]]


def test_a_matrix_sums_the_labels_without_a_column() -> None:
    """Every text of a row is in one of its cells; true languages have a column even if no text got the label."""
    labels = {"a": {"a": 5, "x": 3, "y": 2, "z": 1}, "b": {"a": 4, "y": 2}}
    rows, columns, counts = confusion(labels, shown=1)
    assert (rows, columns) == (["a", "b"], ["a", "b", "y", "other"])
    assert counts.tolist() == [[5, 0, 2, 4], [4, 0, 2, 0]]
    assert confusion(labels)[1] == ["a", "b", "other"]
    assert confusion(labels, extra=("z",))[2].tolist() == [[5, 0, 1, 5], [4, 0, 0, 2]]


def test_the_report_shows_a_held_sample(tmp_path: Path) -> None:
    """In a terminal, as JSON and on the page; the settings of the run file apply."""
    sample = folder() / "held.parquet"
    out = cli("report", release(), "--held", sample).ok().out
    assert out.startswith("7 of 8 texts of the held sample have their label (87.5%), by classifiers.language")
    rows = {line.split()[0]: line.split()[1:] for line in out.split("\n") if "_" in line}
    assert rows["fra_Latn"] == ["1", "0", "0.0%", "—", "eng_Latn", "1"]
    assert rows["eng_Latn"] == ["1", "1", "100.0%", "50.0%"]
    numbers = json.loads(cli("report", release(), "--held", sample, "--json").ok().out)
    assert numbers["name"] == "tiny" and numbers["held"]["correct"] == 7
    found = {tuple(group["languages"]): group["name"] for group in numbers["held"]["groups"]}
    assert found == {
        ("fra_Latn", "spa_Latn"): "romance"
    }  # no text of the other group, no link of three texts
    cli("report", release(), "--held", sample, "--to", tmp_path / "page.html").ok()
    assert page_data(tmp_path / "page.html")["held"] == numbers["held"]
    assert page_data(release() / "report.html")["held"] is None


def test_a_faulty_sample_is_one_clear_error(tmp_path: Path) -> None:
    """Missing columns, nulls and unknown labels name the file, what was found and what is expected."""

    def error(rows: list[dict[str, str | None]]) -> str:
        done = cli("report", release(), "--held", held(rows, tmp_path))
        assert done.code == 2
        return done.err

    assert "the column 'lang' is missing; did you mean 'language'?" in error(
        [{"text": "a", "language": "eng_Latn"}]
    )
    assert "the column 'text' is missing" in error([{"content": "a", "lang": "eng_Latn"}])
    assert "1 of 2 rows have no lang" in error(
        [{"text": "a", "lang": None}, {"text": "b", "lang": "eng_Latn"}]
    )
    unknown = error([{"text": "a", "lang": "zh-Hans"}, {"text": "b", "lang": "en"}])
    assert "'en' (eng_Latn?), 'zh-Hans' (zho_Hans or zho_Hant?) (rows: 2)" in unknown
    assert "no such file" in cli("report", release(), "--held", tmp_path / "absent.parquet").err


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A page or JSON, not both; a run file only with a sample."""
    sample = folder() / "held.parquet"
    both = cli("report", release(), "--held", sample, "--to", tmp_path / "page.html", "--json")
    assert both.code == 2 and "either --to report.html, or --json" in both.err
    assert cli("report", release()).code == 2
    alone = cli("report", release(), "--run", folder() / "run.yaml", "--json")
    assert alone.code == 2 and "--held" in alone.err


@pytest.mark.parametrize("annotate", [[], ["stages.dedup.exact"]])
def test_a_run_without_a_language_stage_is_named(annotate: list[str], tmp_path: Path) -> None:
    """A run file that measures no language has no stage to try."""
    run_path = write_run(tmp_path, tiny(tmp_path, annotate=annotate))
    done = cli("report", release(), "--held", folder() / "held.parquet", "--run", run_path)
    assert done.code == 2 and "no entry of `annotate` writes the language" in done.err


def test_a_model_is_found_beside_the_run_file(tmp_path: Path) -> None:
    """The copy of a run file in a release cannot name a file beside the original; the error says what to do."""
    copied = tmp_path / "release"
    copied.mkdir()
    (copied / "report.json").write_bytes((release() / "report.json").read_bytes())
    page = yaml.safe_load((release() / "run.yaml").read_text("utf-8"))
    page["annotate"] = [{"use": "classifiers.language", "config": {"model": "lid.ftz"}}]
    (copied / "run.yaml").write_text(yaml.safe_dump(page), encoding="utf-8")
    done = cli("report", copied, "--held", folder() / "held.parquet")
    assert done.code == 2 and f"{copied}/lid.ftz does not exist" in done.err and "with --run" in done.err
    from classifiers.language.config import MODEL_PATH

    (tmp_path / "lid.ftz").write_bytes(Path(MODEL_PATH).read_bytes())
    run_path = tmp_path / "run.yaml"
    run_path.write_text((copied / "run.yaml").read_text("utf-8"), encoding="utf-8")
    done = cli("report", copied, "--held", folder() / "held.parquet", "--run", run_path)
    assert done.ok().out.startswith("7 of 8 texts")
