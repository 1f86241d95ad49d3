"""datatrove's filters as a stage, our stages as its blocks, and files that go from one to the other.

Most tests need the extra `datatrove`; without it they are skipped and say so.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from classifiers import language
from pipeline.canonical import Rows, SourceInfo
from pipeline.errors import ConfigError
from pipeline.schema import CANONICAL
from pipeline.stage import Reader, Stage
from stages import datatrove, exact, signals
from stages.readers import jsonl, parquet
from tests.build import build, cli, tiny, write_run
from tests.golden import DOCUMENTS
from tests.inputs import init
from tests.steps import stages
from tests.strategies import table_of

EN = (
    "The old lighthouse stands on a rock that the sea covers twice a day. Nobody has lived there since the light "
    "was automated, but the keeper's garden still grows inside the wall, and people walk out to see it.\n"
)
ZH = "市图书馆昨天宣布，从下个月起延长开放时间。工作日的闭馆时间推迟到晚上九点，周末则照旧，读者都很高兴。\n"
TEXTS = (
    *DOCUMENTS,
    "".join(EN.replace("lighthouse", word) for word in ("tower", "mill", "barn", "inn", "church")),
    "".join(ZH.replace("图书馆", word) for word in ("博物馆", "游泳馆", "美术馆", "体育馆", "档案馆")),
    EN * 8,
    ZH * 8,
    "Lorem Ipsum dolor sit amet.",
    "- one\n- two\n- three\n" * 30,
)
FILTERS = f"{datatrove.FILTERS}."
PARITY = {
    "GopherRepetitionFilter": ({}, {"language": "cmn_Hani", "dup_line_frac": None}),
    "GopherQualityFilter": (
        {"min_doc_words": 20},
        {
            "language": "cmn_Hani",
            "min_doc_words": 10,
            "min_avg_word_length": 1,
            "min_stop_words": 1,
            "stop_words": ["的", "了"],
        },
    ),
    "FineWebQualityFilter": ({}, {"language": "cmn_Hani", "short_line_length": 10}),
}


def installed(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of these modules is missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed: {datatrove.INSTALL}"
    )


needs_datatrove = installed("datatrove", "regex")
needs_words = installed("datatrove", "regex", "spacy", "jieba")


def judge(name: str, texts: tuple[str | None, ...] = TEXTS, **arguments: Any) -> list[dict[str, Any]]:
    """What a filter says of texts, through the stage."""
    config = datatrove.Config(filter=name, arguments=arguments)
    return datatrove.STAGE.load(config)(table_of(list(texts)).select(["text", "url"])).to_pylist()


def docs(texts: tuple[str, ...] = TEXTS) -> list[Any]:
    """datatrove documents."""
    from datatrove.data import Document

    return [Document(text=text, id=f"id-{i}", metadata={"n": i}) for i, text in enumerate(texts)]


@needs_words
@pytest.mark.parametrize("name", PARITY)
def test_verdicts_are_those_of_the_filter(name: str) -> None:
    """Called directly or through the stage, a filter keeps the same documents and gives the same reasons."""
    filters = importlib.import_module(datatrove.FILTERS)
    seen = set()
    for arguments in PARITY[name]:
        direct = []
        for document in docs():
            answer = getattr(filters, name)(**arguments).filter(document)
            keep, reason = answer if isinstance(answer, tuple) else (answer, None)
            direct.append({"keep": keep, "reason": None if keep else reason, "edited": False})
        assert judge(FILTERS + name, **arguments) == direct
        seen |= {row["keep"] for row in direct}
    assert seen == {True, False}


@needs_datatrove
def test_the_default_finds_placeholder_text() -> None:
    """Without settings one rule that holds in any language runs; a bare refusal has no reason."""
    rows = datatrove.STAGE.load(datatrove.Config())(table_of(list(TEXTS)).select(["text", "url"])).to_pylist()
    dropped = {"keep": False, "reason": None, "edited": False}
    kept = {"keep": True, "reason": None, "edited": False}
    assert rows == [dropped if "Lorem" in text else kept for text in TEXTS]


@needs_words
def test_an_edit_is_a_fact_and_no_more() -> None:
    """A filter that takes lines out of its document is seen to; the text of the batch stays."""
    text = "This first line ends as a sentence does.\nThis second line does not end at all\n" * 6
    table = table_of([text, None]).select(["text", "url"])
    config = datatrove.Config(filter=FILTERS + "C4QualityFilter", arguments={"min_num_sentences": 2})
    assert datatrove.STAGE.load(config)(table).to_pylist() == [
        {"keep": True, "reason": None, "edited": True},
        {"keep": None, "reason": None, "edited": None},
    ]
    assert table["text"].to_pylist() == [text, None]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with filters that are not datatrove's own."""
    (tmp_path / "own_filters.py").write_text(OWN, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_filters", raising=False)
    return "own_filters"


OWN = """
from datatrove.pipeline.filters.base_filter import BaseFilter

SIZES = []

class ByHost(BaseFilter):
    def __init__(self, hosts):
        super().__init__(batch_size=2)
        self.hosts = hosts
        self.unpicklable = lambda: None
    def filter(self, doc):
        raise NotImplementedError
    def filter_batch(self, batch):
        SIZES.append(len(batch))
        return [(doc.metadata["url"].split("/")[2] not in self.hosts, "host") for doc in batch]

class Unready(BaseFilter):
    def filter(self, doc):
        import no_such_package
"""


@needs_datatrove
def test_filters_of_other_modules_see_urls_in_batches(own: str) -> None:
    """Any filter class runs, in batches of the size it asks for, with its documents' urls; kept ones have no reason."""
    table = pa.table({"text": ["a", None, "b", "c", "d"], "url": [f"https://h{i}.cn/" for i in range(5)]})
    annotate = datatrove.STAGE.load(datatrove.Config(filter=f"{own}.ByHost", arguments={"hosts": ["h2.cn"]}))
    found = [(row["keep"], row["reason"]) for row in annotate(table).to_pylist()]
    assert found == [(True, None), (None, None), (False, "host"), (True, None), (True, None)]
    assert importlib.import_module(own).SIZES == [2, 2]
    assert pickle.loads(pickle.dumps(annotate))(table).equals(annotate(table))


@needs_datatrove
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("datatrove.pipeline.filters.NoFilter", {}, "is no filter class"),
        ("datatrove.pipeline.readers.JsonlReader", {}, "is no filter class"),
        ("no_such_module.Filter", {}, "cannot be imported: No module named 'no_such_module'"),
        ("datatrove.pipeline.filters.RegexFilter", {"regexp": "a"}, "unexpected keyword argument 'regexp'"),
        ("datatrove.pipeline.filters.RegexFilter", {"regex_exp": "("}, "datatrove.arguments: .*RegexFilter"),
        ("datatrove.pipeline.filters.RegexFilter", {}, "missing 1 required positional argument"),
        ("own_filters.ByHost", {}, "missing 1 required positional argument: 'hosts'"),
    ],
)
def test_a_filter_that_cannot_be_made_stops(
    own: str, name: str, arguments: dict[str, Any], message: str
) -> None:
    """Loading names the filter or the argument at fault, before any text is read."""
    with pytest.raises(ConfigError, match=message):
        datatrove.STAGE.load(datatrove.Config(filter=name, arguments=arguments))


@needs_datatrove
def test_a_package_missed_at_the_first_text_stops(own: str) -> None:
    """A filter that imports late raises a ConfigError with what to install, not one failure for each document."""
    with pytest.raises(ConfigError, match=r"no_such_package.*pip install 'bicorpus\[datatrove\]'"):
        judge(f"{own}.Unready")


ARTICLE = {
    "en": "".join(EN.replace("lighthouse", word) for word in ("tower", "mill", "barn", "inn", "church")),
    "zh": "".join(ZH.replace("图书馆", word) for word in ("博物馆", "游泳馆", "美术馆", "体育馆", "档案馆")),
}
GOPHER = "datatrove.pipeline.filters.GopherQualityFilter"


@needs_words
def test_a_run_drops_what_filters_refuse_and_explains_it(tmp_path: Path) -> None:
    """Filters as gated steps, one a language: rules on `keep` decide, `explain` shows the verdict and the reason."""
    rows = [
        {"id": "en-good", "text": ARTICLE["en"]},
        {"id": "en-short", "text": EN},
        {"id": "zh-good", "text": ARTICLE["zh"]},
        {"id": "zh-symbols", "text": (ZH[:8] + "#" * 8) * 20},
    ]
    chinese = {
        "language": "cmn_Hani",
        "min_avg_word_length": 1,
        "max_avg_word_length": 5,
        "stop_words": ["的", "了"],
    }
    page = tiny(
        tmp_path,
        rows,
        annotate=[
            "classifiers.language",
            {
                "use": "stages.datatrove", "as": "gopher_en", "gate": {"language.label": "eng_Latn"},
                "config": {"filter": GOPHER, "arguments": {"min_doc_words": 50, "language": "eng"}},
            },
            {
                "use": "stages.datatrove", "as": "gopher_zh", "gate": {"language.label": {"in": ["zho_Hans"]}},
                "config": {"filter": GOPHER, "arguments": chinese | {"min_stop_words": 1, "min_doc_words": 50}},
            },
        ],
        select=[
            {"name": "gopher_en", "gopher_en.keep": True, "if_null": "keep"},
            {"name": "gopher_zh", "gopher_zh.keep": True, "if_null": "keep"},
        ],
    )  # fmt: skip
    run_path, store = write_run(tmp_path, page), tmp_path / "store"
    assert build(run_path, store)["kept"] == 2
    wanted = {
        "en-good": (None, True, None, None), "en-short": ("gopher_en", False, "gopher_short_doc", None),
        "zh-good": (None, None, None, None), "zh-symbols": ("gopher_zh", None, None, "gopher_too_many_hashes"),
    }  # fmt: skip
    for row, (rule, keep_en, reason_en, reason_zh) in enumerate(wanted.values()):
        place = ("explain", run_path, "--store", store, "--input", f"docs.jsonl:{row}")
        found = cli(*place, "--json").ok().json
        assert found["rule"] == rule
        values = found["annotations"]
        assert (values["gopher_en.keep"], values["gopher_en.reason"]) == (keep_en, reason_en)
        assert values["gopher_zh.reason"] == reason_zh
        shown = cli(*place).ok().out
        assert (f"dropped by {rule}" if rule else "kept") in shown.splitlines()[0]
        assert repr(reason_en or reason_zh) in shown
    assert build(run_path, store)["tasks"]["annotate"] == 0


def test_without_datatrove_loading_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage can be imported and configured anywhere; loading it needs the extra and says so."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "datatrove"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "datatrove", None)
    with pytest.raises(ConfigError, match=r"pip install 'bicorpus\[datatrove\]'"):
        datatrove.STAGE.load(datatrove.Config())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filter": "GopherQualityFilter"}, "expected the import path of a class"),
        ({"filter": "os;x.y"}, "expected the import path of a class"),
        ({"arguments": ["a"]}, "expected a mapping"),
        ({"arguments": {"f": print}}, "has no canonical form"),
        ({"arguments": {"a": [1, {"b": float("nan")}]}}, "datatrove.arguments"),
    ],
)
def test_settings_are_plain_data(settings: dict[str, Any], message: str) -> None:
    """What cannot enter a recipe, or names no class, is refused with the setting at fault."""
    with pytest.raises(ConfigError, match=message):
        datatrove.Config(**settings)


STEPS = [
    (language.STAGE, language.Config()),
    (signals.STAGE, signals.Config()),
    (exact.STAGE, exact.Config()),
]


def run(steps: Any = STEPS, documents: Any = None, **options: Any) -> list[Any]:
    """Documents that come out of a block."""
    return list(datatrove.block(steps, **options)(iter(docs() if documents is None else documents)))


@needs_datatrove
def test_a_block_writes_our_columns_to_metadata() -> None:
    """Documents keep order, text and metadata, and get the columns that the stages give in a table."""
    table = pa.table({"text": pa.array(TEXTS, pa.large_string())})
    labels = language.STAGE.load(language.Config())(table)
    both = pa.table({"text": table["text"], "language.label": labels["label"]})
    expected = signals.STAGE.load(signals.Config())(both).to_pylist()
    hashes = exact.STAGE.load(exact.Config())(table)["raw_hash"].to_pylist()
    found = run()
    assert [(d.text, d.id, d.metadata["n"]) for d in found] == [
        (d.text, d.id, d.metadata["n"]) for d in docs()
    ]
    assert [d.metadata["language.label"] for d in found] == labels["label"].to_pylist()
    assert [
        {name: d.metadata[f"signals.{name}"] for name in signals.STAGE.writes.names} for d in found
    ] == expected
    assert [d.metadata["exact.raw_hash"] for d in found] == [value.hex() for value in hashes]


def in_order() -> list[tuple[Stage, Any]]:
    """Every stage of the repository that needs no global step, each after those that it reads."""
    left, ready = dict(stages()), list[tuple[Stage, Any]]()
    known = set(CANONICAL.names)
    while found := [name for name, stage in left.items() if known.issuperset(stage.reads)]:
        for name in found:
            stage = left.pop(name)
            ready.append((stage, stage.config()))
            known |= {f"{stage.name}.{column}" for column in stage.writes.names}
    return ready


@needs_datatrove
def test_any_stage_runs_in_a_block() -> None:
    """All stages in one block write the columns that each gives on a table of the same documents."""
    steps = in_order()
    assert {stage.name for stage, _ in steps} >= {
        "language",
        "signals",
        "boilerplate",
        "exact",
        "minhash",
        "tokens",
    }
    found = run(steps, batch_rows=7)
    columns: dict[str, Any] = {
        name: pa.nulls(len(TEXTS), CANONICAL.field(name).type) for name in CANONICAL.names
    }
    columns["text"] = pa.array(TEXTS, pa.large_string())
    columns["doc_id"] = columns["source_id"] = pa.array([d.id for d in docs()])
    for stage, config in steps:
        table = stage.load(config)(pa.table({name: columns[name] for name in stage.reads}))
        for name in table.column_names:
            columns[f"{stage.name}.{name}"] = table[name]
            expected = [v.hex() if isinstance(v, bytes) else v for v in table[name].to_pylist()]
            got = [d.metadata[f"{stage.name}.{name}"] for d in found]
            assert repr(got) == repr(expected), f"{stage.name}.{name}"  # repr: NaN is NaN


@needs_datatrove
@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_batches_of_a_block_do_not_matter(batch_rows: int) -> None:
    """Documents are annotated alike in batches of any size."""
    assert run(batch_rows=batch_rows) == run()


@needs_datatrove
def test_a_block_drops_what_a_predicate_refuses() -> None:
    """The documents for which `keep` is true go on, in order, and are counted as by a filter."""
    made = datatrove.block(STEPS, keep=is_chinese, batch_rows=4)
    found = list(made(iter(docs())))
    expected = [d.id for d in run() if is_chinese(d.metadata)]
    assert [d.id for d in found] == expected
    assert 0 < len(expected) < len(TEXTS)
    stats = {name: made.stats[name].total for name in ("total", "forwarded", "dropped")}
    assert stats == {"total": len(TEXTS), "forwarded": len(expected), "dropped": len(TEXTS) - len(expected)}


def is_chinese(metadata: Mapping[str, Any]) -> bool:
    """Whether our label is Chinese."""
    return metadata["language.label"].startswith("zho_")


@needs_datatrove
def test_a_block_survives_what_is_no_text() -> None:
    """Half a surrogate pair is a null text to the stages, an empty text an empty one; no document is lost."""
    from datatrove.data import Document

    texts = ["好" * 50, "\ud83d", ""]
    found = run(documents=[Document(text=text, id=str(i)) for i, text in enumerate(texts)])
    assert [d.text for d in found] == texts
    assert found[0].metadata["language.label"] == "zho_Hans"
    assert [d.metadata["exact.raw_hash"] is None for d in found] == [False, True, False]


@needs_datatrove
def test_a_block_gives_stages_urls_and_ids(own: str) -> None:
    """A stage of ours that reads a canonical column finds it in the document's metadata."""
    from datatrove.data import Document

    config = datatrove.Config(filter=f"{own}.ByHost", arguments={"hosts": ["h1.cn"]})
    documents = [Document(text="x", id=str(i), metadata={"url": f"https://h{i}.cn/"}) for i in range(3)]
    found = run([(datatrove.STAGE, config)], documents)
    assert [d.metadata["datatrove.keep"] for d in found] == [True, False, True]


@needs_datatrove
@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([STEPS[1], STEPS[0]], r"signals reads language\.label; put the stage that writes it before it"),
        ([STEPS[0], STEPS[0]], "language comes twice"),
    ],
)
def test_a_block_checks_its_order(steps: Any, message: str) -> None:
    """A stage before those that it reads, or one that comes twice, is refused when the block is made."""
    with pytest.raises(ConfigError, match=message):
        datatrove.block(steps)


@installed("datatrove", "regex", "orjson")
def test_a_block_runs_in_the_workers_of_an_executor(tmp_path: Path) -> None:
    """Two tasks in two processes write the metadata that one process gives."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    for part in range(2):
        with JsonlWriter(str(tmp_path / "in"), output_filename=f"{part}.jsonl", compression=None) as writer:
            for document in docs()[part::2]:
                writer.write(document)
    steps = [
        JsonlReader(str(tmp_path / "in")),
        datatrove.block(STEPS[:1]),
        JsonlWriter(str(tmp_path / "out")),
    ]
    LocalPipelineExecutor(steps, tasks=2, workers=2, logging_dir=str(tmp_path / "logs")).run()
    found = {}
    for path in (tmp_path / "out").iterdir():
        for fields in records(jsonl.READER, path):
            found[fields["id"]] = fields["metadata"]["language.label"]
    assert found == {d.id: d.metadata["language.label"] for d in run()}


def records(reader: Reader, path: Path) -> list[dict[str, Any]]:
    """Fields of all records of a file; none may be broken."""
    with open(path, "rb") as stream:
        found = list(reader.read(stream, path.name, reader.config()))
    return [record.fields for record in found if record.fields is not None or pytest.fail(str(record))]


@installed("datatrove", "regex", "orjson")
@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_files_of_datatrove_are_read(tmp_path: Path, kind: str, expand: bool) -> None:
    """What its writers wrote has text, id, and by the mapping of docs/moving.md url, date and scores."""
    from datatrove.data import Document
    from datatrove.pipeline import writers

    made = [
        Document(
            text=text, id=f"<urn:{i}>", metadata={"url": f"https://例子.cn/{i}", "date": "2024", "edu": i / 4}
        )
        for i, text in enumerate(TEXTS)
    ]
    writer = {"jsonl": writers.JsonlWriter, "parquet": writers.ParquetWriter}[kind]
    with writer(str(tmp_path), expand_metadata=expand) as out:
        for document in made:
            out.write(document)
    (path,) = tmp_path.iterdir()
    reader = {"jsonl": jsonl.READER, "parquet": parquet.READER}[kind]
    prefix = "" if expand else "metadata."
    columns = {"url": f"{prefix}url", "date": f"{prefix}date", "edu.score": f"{prefix}edu"}
    rows = Rows(SourceInfo(name="s", input=path.name, columns=columns, fields=reader.fields))
    with open(path, "rb") as stream:
        for record in reader.read(stream, path.name, reader.config()):
            rows.add(record)
    table, quarantined, scores = rows.take()
    assert quarantined.num_rows == 0
    assert table["text"].to_pylist() == list(TEXTS)
    assert table["source_id"].to_pylist() == [d.id for d in made]
    assert table["url"].to_pylist() == [d.metadata["url"] for d in made]
    assert set(table["date"].to_pylist()) == {"2024"}
    assert scores["edu"]["score"].to_pylist() == [i / 4 for i in range(len(TEXTS))]


@installed("datatrove", "regex", "orjson")
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_init_recognises_what_writers_wrote(tmp_path: Path, kind: str) -> None:
    """A run file for their output maps url and date, and makes the numbers of `metadata` columns."""
    from datatrove.data import Document
    from datatrove.pipeline import writers

    writer = {"jsonl": writers.JsonlWriter, "parquet": writers.ParquetWriter}[kind]
    with writer(str(tmp_path / "out")) as out:
        for i, text in enumerate((EN * 3, ZH * 3)):
            metadata = {
                "url": f"https://例子.cn/{i}",
                "date": "2024-05-18",
                "language": "zh",
                "edu": i / 4,
                "n": i,
            }
            out.write(Document(text=text, id=f"<urn:{i}>", metadata=metadata))
    draft, made = init(tmp_path, tmp_path / "out")
    assert made.sources[0].reader_name == f"stages.readers.{kind}"
    assert dict(made.sources[0].columns) == {
        "text": "text", "source_id": "id", "url": "metadata.url", "date": "metadata.date",
        "metadata.edu": "metadata.edu", "metadata.n": "metadata.n", "metadata.language": "metadata.language:string",
    }  # fmt: skip
    record = build(Path(draft.path), tmp_path / "store")
    assert (record["ingested"], record["quarantined"]) == (2, {"out": {}})


@installed("datatrove", "regex", "orjson")
def test_columns_of_a_block_come_back(tmp_path: Path) -> None:
    """Annotations that a block made and a writer spread out are existing scores under their own names."""
    from datatrove.pipeline.writers import JsonlWriter

    with JsonlWriter(str(tmp_path), expand_metadata=True) as out:
        for document in (annotated := run()):
            out.write(document)
    (path,) = tmp_path.iterdir()
    columns = {"was.label": "language.label:string", "was.chars": "signals.n_chars"}
    rows = Rows(SourceInfo(name="s", input=path.name, columns=columns, fields=jsonl.READER.fields))
    with open(path, "rb") as stream:
        for record in jsonl.read(stream, path.name, jsonl.Config()):
            rows.add(record)
    scores = rows.take()[2]["was"]
    assert scores["label"].to_pylist() == [d.metadata["language.label"] for d in annotated]
    assert scores["chars"].to_pylist() == [d.metadata["signals.n_chars"] for d in annotated]
