"""Real texts, written as tables by other tools and read back, whole and damaged; prints Markdown.

Texts are those of Parquet files with columns `id` and `text` below FOLDER, one in STEP. Tools that are not installed
are left out; LibreOffice is used if `soffice` is on the path. A document is `right` if its text is that of its row,
`lost` if no document has it, and `wrong` if a document has a text that no row has.

Example: python -m scripts.bench.bench_formats ../shared/data --step 20
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import random
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq

from pipeline.ingest.canonical import Rows, SourceInfo
from pipeline.recipe import load_step
from pipeline.scaffold.find_files import FoundFile
from pipeline.scaffold.sniff import Sample, sniff

Writers = dict[str, Callable[[pa.Table, Path], None]]


def texts(folder: Path, step: int) -> pa.Table:
    """One text in `step` of all documents, with an id, an address and a number."""
    tables = [
        pq.read_table(path, columns=["text", "url"]) for path in sorted(folder.glob("docs_zh_en-*.parquet"))
    ]
    table = pa.concat_tables(tables)
    rows = [
        row for row in table.take(list(range(0, table.num_rows, step))).to_pylist() if row["text"].strip()
    ]
    kept = [
        {"id": f"d{i}", "text": _plain(row["text"]), "url": row["url"], "n": i} for i, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(kept)


def _plain(text: str) -> str:
    """A text that ingest leaves as it is, so that texts can be compared."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").removeprefix("\ufeff")


def csv_text(table: pa.Table, **options: Any) -> str:
    """What the module csv writes."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, **options)
    writer.writerow(table.column_names)
    writer.writerows(list(row.values()) for row in table.to_pylist())
    return sink.getvalue()


def _arrow_csv(table: pa.Table, path: Path) -> None:
    arrow_csv.write_csv(table, path)


def _json_array(table: pa.Table, path: Path) -> None:
    path.write_text(json.dumps(table.to_pylist(), ensure_ascii=False), "utf-8")


def _csv(encoding: str, first: str = "", **options: Any) -> Callable[[pa.Table, Path], None]:
    def write(table: pa.Table, path: Path) -> None:
        path.write_bytes((first + csv_text(table, **options)).encode(encoding))

    return write


def own_writers() -> Writers:
    """Writers of Python's and Arrow's own libraries."""
    excel = {"delimiter": ";", "lineterminator": "\r\n"}
    tabs = {"delimiter": "\t", "lineterminator": "\r\n"}
    return {
        "csv module, excel .csv": _csv("utf-8"),
        "csv module, excel-tab .tsv": _csv("utf-8", dialect="excel-tab"),
        "csv module, every cell quoted .csv": _csv("utf-8", quoting=1),
        "as Excel: UTF-8 mark, semicolons .csv": _csv("utf-8-sig", **excel),
        "as Excel: sep=; first .csv": _csv("utf-8-sig", first="sep=;\r\n", **excel),
        "as Excel: Unicode text .tsv": _csv("utf-16", **tabs),
        "as Spark: backslash before quotes .csv": _csv("utf-8", quoting=1, doublequote=False, escapechar="\\"),
        "Arrow .csv": _arrow_csv,
        "Arrow IPC .arrow": lambda t, p: feather.write_feather(t, p, compression="zstd"),
        "json module, one array .json": _json_array,
    }  # fmt: skip


def pandas_writers() -> Writers:
    """Writers of pandas."""
    return {
        "pandas .csv": lambda t, p: t.to_pandas().to_csv(p, index=False),
        "pandas with its index .csv": lambda t, p: t.to_pandas().to_csv(p),
        "pandas, GB18030 .csv": lambda t, p: t.to_pandas().to_csv(p, index=False, encoding="gb18030"),
        "pandas, gzip .tsv.gz": lambda t, p: t.to_pandas().to_csv(p, index=False, sep="\t"),
        "pandas Feather .feather": lambda t, p: t.to_pandas().to_feather(p),
        "pandas records .json": lambda t, p: t.to_pandas().to_json(p, orient="records", force_ascii=False),
        "pandas lines .jsonl": lambda t, p: t.to_pandas().to_json(p, orient="records", lines=True),
    }


def polars_writers() -> Writers:
    """Writers of Polars."""
    polars = importlib.import_module("polars")
    return {
        "Polars .csv": lambda t, p: polars.from_arrow(t).write_csv(p),
        "Polars IPC .arrow": lambda t, p: polars.from_arrow(t).write_ipc(p, compression="lz4"),
        "Polars IPC stream .arrow": lambda t, p: polars.from_arrow(t).write_ipc_stream(p),
        "Polars .json": lambda t, p: polars.from_arrow(t).write_json(p),
        "Polars .ndjson": lambda t, p: polars.from_arrow(t).write_ndjson(p),
    }


def duckdb_writers() -> Writers:
    """Writers of DuckDB."""
    duckdb = importlib.import_module("duckdb")

    def copy(options: str) -> Callable[[pa.Table, Path], None]:
        def write(table: pa.Table, path: Path) -> None:
            connection = duckdb.connect()
            connection.register("t", table)
            connection.execute(f"COPY t TO '{path}' ({options})")

        return write

    return {
        "DuckDB .csv": copy("FORMAT csv, HEADER"),
        "DuckDB, bars .csv": copy("FORMAT csv, HEADER, DELIMITER '|'"),
        "DuckDB, zstd .csv.zst": copy("FORMAT csv, HEADER, COMPRESSION zstd"),
        "DuckDB array .json": copy("FORMAT json, ARRAY true"),
    }


def datasets_writers() -> Writers:
    """Writers of the library `datasets`."""
    datasets = importlib.import_module("datasets")

    def save(table: pa.Table, path: Path) -> None:
        folder = path.with_suffix("")
        datasets.Dataset(table).save_to_disk(folder)
        shutil.copy(next(folder.glob("*.arrow")), path)

    return {"datasets save_to_disk .arrow": save}


def office_writers() -> Writers:
    """LibreOffice: a CSV file opened and saved again, in UTF-8 and in GB18030; cells hold at most 32,767 characters."""
    if not shutil.which("soffice"):
        return {}

    def save(code: int) -> Callable[[pa.Table, Path], None]:
        def write(table: pa.Table, path: Path) -> None:
            with tempfile.TemporaryDirectory() as name:
                source = Path(name, "in", "t.csv")
                source.parent.mkdir()
                source.write_bytes(csv_text(table).encode())
                command = [
                    "soffice",
                    "--headless",
                    f"-env:UserInstallation=file://{name}/profile",
                    "--infilter=CSV:44,34,76,1",
                ]
                form = f"csv:Text - txt - csv (StarCalc):44,34,{code},1"
                subprocess.run(
                    [*command, "--convert-to", form, "--outdir", name, str(source)],
                    check=True,
                    capture_output=True,
                )
                shutil.move(Path(name, "t.csv"), path)

        return write

    return {"LibreOffice .csv": save(76), "LibreOffice, GB18030 .csv": save(85)}


def all_writers() -> Writers:
    """Writers of all tools that are installed."""
    found = own_writers()
    for writers in (pandas_writers, polars_writers, duckdb_writers, datasets_writers, office_writers):
        try:
            found |= writers()
        except ImportError as error:
            click.echo(f"left out: {error}", err=True)
    return found


def proposed(path: Path) -> Sample:
    """What `init` proposes for a file.

    Raises: SystemExit if it does not read the file.
    """
    sample = sniff(FoundFile(str(path), path.stat().st_size))
    if not isinstance(sample, Sample):
        raise SystemExit(f"{path}: {sample.reason}")
    return sample


def read_back(path: Path, sample: Sample, wanted: set[str]) -> dict[str, Any]:
    """Read a file as was proposed before it was damaged, and compare the texts."""
    reader = load_step(sample.reader_name, "READER", "bench")
    columns = {"text": sample.text_field}
    rows = Rows(
        SourceInfo(name="s", input=path.name, fields=reader.fields, columns=columns, max_doc_bytes=1 << 30)
    )
    with open(path, "rb") as stream:
        for record in reader.read(stream, path.name, reader.config(**sample.config)):
            rows.add(record)
    documents, quarantined, _ = rows.take()
    found = set(documents["text"].to_pylist())
    return {
        "reader": sample.reader_name.rpartition(".")[2], "right": len(found & wanted), "lost": len(wanted - found),
        "wrong": len(found - wanted), "reasons": Counter(quarantined["reason"].to_pylist()),
    }  # fmt: skip


def damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Ways in which files are damaged: cut off, bytes overwritten, and in text files quotation marks added."""
    rng = random.Random(5)
    yield "cut at 60 %", data[: len(data) * 6 // 10]
    overwritten = bytearray(data)
    for _ in range(20):
        overwritten[rng.randrange(len(data))] = rng.randrange(256)
    yield "20 bytes overwritten", bytes(overwritten)
    if b"\0" not in data[:100]:
        lines = data.split(b"\n")
        for _ in range(20 if len(lines) > 20 else 0):
            lines.insert(rng.randrange(1, len(lines)), b'"')
        yield "20 lines with one quotation mark", b"\n".join(lines)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--step", default=20, show_default=True, help="One text in this many.")
def main(folder: Path, step: int) -> None:
    """Print a table of files, whole and damaged."""
    table = texts(folder, step)
    wanted = set(table["text"].to_pylist())
    click.echo(
        f"{table.num_rows:,} rows, {len(wanted):,} different texts, {sum(map(len, wanted)):,} characters\n"
    )
    click.echo(
        "| written by | damage | reader | right | lost | wrong | quarantined |\n|---|---|---|---:|---:|---:|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        for label, write in all_writers().items():
            tool, _, ending = label.rpartition(" ")
            path = Path(name, f"table{ending}")
            write(table, path)
            data, sample = path.read_bytes(), proposed(path)
            for damage, changed in (("", data), *damages(data)):
                path.write_bytes(changed)
                row = read_back(path, sample, wanted)
                reasons = ", ".join(f"{reason} {n:,}" for reason, n in row["reasons"].most_common(3))
                counts = f"{row['right']:,} | {row['lost']:,} | {row['wrong']:,}"
                click.echo(f"| {tool} `{ending}` | {damage} | {row['reader']} | {counts} | {reasons} |")
            path.unlink()


if __name__ == "__main__":
    main()
