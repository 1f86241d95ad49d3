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
from pipeline.stage import Reader
from stages import datatrove, exact, signals
from stages.readers import jsonl, parquet
from tests.golden import DOCUMENTS
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

class ByHost(BaseFilter):
    def __init__(self, hosts):
        super().__init__(batch_size=2)
        self.hosts = hosts
        self.unpicklable = lambda: None
    def filter(self, doc):
        raise NotImplementedError
    def filter_batch(self, batch):
        assert len(batch) <= 2
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
