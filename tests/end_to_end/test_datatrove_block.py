"""Our stages as a datatrove block, and files that are exchanged between both. Needs the extra `datatrove`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from classifiers import language
from pipeline.errors import ConfigError
from pipeline.ingest.canonical import Rows, SourceInfo
from pipeline.schema import CANONICAL
from pipeline.stage import Reader, Stage
from stages import datatrove, signals
from stages.dedup import exact
from stages.readers import jsonl, parquet
from tests.helpers.build import build
from tests.helpers.inputs import init
from tests.helpers.moving import EN, TEXTS, ZH, docs, installed, needs_datatrove
from tests.helpers.steps import stages

pytest_plugins = ("tests.helpers.own_filters",)

STEPS = [
    (language.STAGE, language.Config()),
    (signals.STAGE, signals.Config()),
    (exact.STAGE, exact.STAGE.config()),
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
    hashes = exact.STAGE.load(exact.STAGE.config())(table)["raw_hash"].to_pylist()
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
    """Annotations are the same for batches of any size."""
    assert run(batch_rows=batch_rows) == run()


@needs_datatrove
def test_a_block_drops_what_a_predicate_refuses() -> None:
    """Documents for which `keep` is true are passed on in order, and the counts are those of a filter."""
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
        ([STEPS[0], STEPS[0]], "two stages are named language"),
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
