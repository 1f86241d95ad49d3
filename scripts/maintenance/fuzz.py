"""Feeds damaged and random bytes to every reader and parser, and keeps what makes one fail.

    python -m scripts.maintenance.fuzz                      # 10,000 inputs for each, some minutes
    python -m scripts.maintenance.fuzz --inputs 500 --only csv --seed 7

Inputs are made from a corpus of small sound files, of the sample and of tests, by cuts, overwritten, repeated and
exchanged pieces, and tokens of the format. A failure is an exception, a record that is neither whole nor broken, more
than SECONDS of processor time, or memory that grows over all inputs. The input is written to tests/found_inputs/, where
a test reads it from then on; mend the cause, and commit both.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import BicorpusError
from pipeline.ingest.canonical import Rows, SourceInfo
from pipeline.recipe import load_step
from scripts.bench.bombs import BOMBS

FOUND = Path(__file__).parents[2] / "tests" / "found_inputs"
SECONDS = 5.0
"""Processor time of one input of some kilobytes; one takes a millisecond."""

LEAK_BYTES = 256 << 20
READERS = (
    "jsonl",
    "csv",
    "parquet",
    "arrow",
    "chat",
    "members",
    "wet",
    "warc",
    "html",
    "textfile",
    "lines",
    "dolma",
)
PARSERS = ("run_file", "encoding", "mojibake", "yaml_list", "arrays", "fluency", "fasttext")
TOKENS = (
    b"\n", b"\r\n", b"\0", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"---\n", b"+++\n", b"\xff", b"\x80",
    b"\xef\xbb\xbf", b"WARC/1.0\r\n", b"Content-Length: 99999999999\r\n", b"\r\n\r\n", b"<table>", b"<!--",
    b"&#x110000;", b"1e999", b"-0", b"\\ud800", b"NaN", b"PK\x01\x02", b"PK\x05\x06", b"PAR1", b"ARROW1",
    b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"0x" + b"f" * 40, b"1:59:59", b"0777", b"9" * 400,
    b"!!python/object:os.system", b"&a", b"*a", b"\xd6\xd0", b"\xe4\xb8\xad",
)  # fmt: skip
"""Pieces that formats give a meaning."""


@dataclass
class Outcome:
    """What the inputs of one target came to. failures: (input, why)."""

    n: int
    reasons: Counter[str]
    failures: list[tuple[bytes, str]]
    seconds: float
    grown_bytes: int


def corpus(name: str) -> list[bytes]:
    """Small sound files of a format."""
    made = [bomb.make(300) for bomb in BOMBS.values() if bomb.reader == name and bomb.grows]
    text = "山不在高，有仙则名。\nA plain sentence, “quoted”. " * 3
    if name in ("jsonl", "dolma", "chat", "lines"):
        row = (
            json.dumps({"id": "a", "text": text, "x": [1, 2.5, None, {"k": "v"}]}, ensure_ascii=False) + "\n"
        )
        turns = '{"messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]}\n'
        rows = (row * 3 + turns * 2).encode()
        made += [rows, gzip.compress(rows), b"[" + rows.replace(b"}\n", b"},\n") + b"{}]"]
    if name == "csv":
        made += [
            f'id,text,url\n1,"{text}",x\n2,b,"a ""b"""\n'.encode() * 2,
            f"id\ttext\n1\t{text[:9]}\n".encode("gb18030"),
        ]
    if name in ("html", "textfile"):
        page = f"<html><head><title>t</title></head><body><p>{text}</p><table><tr><td colspan=2>x</table></body></html>"
        made += [
            page.encode(),
            page.encode("gb18030"),
            f"---\ntitle: a\ndate: 2024-01-02\ntags: [a, b]\n---\n{text}".encode(),
        ]
        made += [f"+++\ntitle = 'a'\nn = 1\n+++\n{text}".encode(), text.encode("utf-16")]
    if name in ("warc", "wet"):
        kind, body = (
            "response",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n",
        )[:2]
        block = body + gzip.compress(f"<p>{text}</p>".encode()) if name == "warc" else text.encode()
        kind = kind if name == "warc" else "conversion"
        head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a.example/\r\n"
        record = head.encode() + b"Content-Type: application/http\r\n"
        record += b"Content-Length: %d\r\n\r\n" % len(block) + block + b"\r\n\r\n"
        made += [record * 3, gzip.compress(record) * 3]
    return made + [path.read_bytes() for path in sorted(FOUND.glob(f"{name}-*"))]


def columnar(name: str) -> list[bytes]:
    """Small Parquet and Arrow files with nested, dictionary and binary columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({
        "text": ["一篇短文。", "A text.", None], "n": [1, None, 3], "b": [b"\xff", b"", None],
        "l": [[1, 2], None, []], "s": [{"a": 1}, None, {"a": 2}],
        "d": pa.array(["x", "y", "x"]).dictionary_encode(), "t": pa.array([1, 2, None], pa.timestamp("ns")),
        "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    })  # fmt: skip
    made = []
    for compression in (None, "zstd"):
        sink = io.BytesIO()
        if name == "parquet":
            pq.write_table(table, sink, compression=compression or "none", row_group_size=2)
        else:
            options = pa.ipc.IpcWriteOptions(compression=compression)
            new = pa.ipc.new_file if compression else pa.ipc.new_stream
            with new(sink, table.schema, options=options) as writer:
                writer.write_table(table)
        made.append(sink.getvalue())
    return made


def mutate(seeds: list[bytes], rng: random.Random) -> bytes:
    """Damage one of the seeds: some of cuts, overwritten, repeated, exchanged and inserted pieces."""
    data = (
        bytearray(rng.choice(seeds)) if rng.random() < 0.97 else bytearray(rng.randbytes(rng.randrange(200)))
    )
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        size = rng.choice((1, 2, 4, 16, 200))
        kind = rng.randrange(7)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at : at + size] = rng.randbytes(size)
        elif kind == 2 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 3:
            data[at:at] = rng.choice(TOKENS) * rng.choice((1, 1, 2, 50))
        elif kind == 4:
            data[at:at] = data[at : at + size] * rng.choice((1, 3, 40))
        elif kind == 5:
            other = rng.choice(seeds)
            begin = rng.randrange(len(other) + 1)
            data[at : at + size] = other[begin : begin + size]
        else:
            data[at : at + size] = b"\xff" * size if rng.random() < 0.5 else bytes(size)
    return bytes(data)


def read_with(name: str) -> Callable[[bytes], Counter[str]]:
    """Return the function that reads bytes as a file of a format, as ingest does, and counts the reasons."""
    reader = load_step(f"stages.readers.{name}", "READER", "fuzz")
    config, path = reader.config(), {"textfile": "a.md", "csv": "a.csv"}.get(name, f"a.{name}")

    def run(data: bytes) -> Counter[str]:
        reasons: Counter[str] = Counter()
        rows = Rows(SourceInfo(name="fuzz", input=path, fields=reader.fields))
        for record in reader.read(io.BytesIO(data), path, config):
            if (record.fields is None) != (record.reason is not None):
                raise AssertionError(f"neither whole nor broken: {record}")
            rows.add(record)
        documents, quarantined, _ = rows.take()
        reasons.update(quarantined["reason"].to_pylist())
        reasons["documents"] += documents.num_rows
        return reasons

    return run


def parse_with(name: str) -> tuple[list[bytes], Callable[[bytes], Counter[str]]]:
    """Return the corpus of a parser, and the function that parses bytes; a BicorpusError is an answer."""
    root = Path(__file__).parents[2]
    work = Path("/tmp") / f"bicorpus-fuzz-{name}"

    def with_file(parse: Callable[[str], Any], suffix: str) -> Callable[[bytes], Counter[str]]:
        def run(data: bytes) -> Counter[str]:
            path = work.with_suffix(suffix)
            path.write_bytes(data)
            try:
                parse(str(path))
            except BicorpusError as error:
                return Counter([type(error).__name__])
            finally:
                path.unlink()
            return Counter(["parsed"])

        return run

    if name == "run_file":
        from pipeline.config.load import load_run

        return [path.read_bytes() for path in sorted((root / "configs").glob("*.yaml"))], with_file(
            load_run, ".yaml"
        )
    if name == "yaml_list":
        from classifiers.llm.instructions import read_yaml

        return [b"a: {version: 1, en: x, zh: [y, 0777, 1:59]}\nb: &x {c: *x}\n"], with_file(
            read_yaml, ".yaml"
        )
    if name == "arrays":
        from classifiers.embedding import load_centroids

        data = (root / "classifiers/models/embedding_centroids.npz").read_bytes()
        return [data], with_file(load_centroids, ".npz")
    if name == "fluency":
        from classifiers.fluency.ngram import load

        unigrams = b"\\1-grams:\n-1 <unk> 0\n-1 <s> -0.3\n-1 a -0.3\n\n"
        arpa = b"\\data\\\nngram 1=3\nngram 2=1\n\n" + unigrams + b"\\2-grams:\n-1 <s> a\n\n\\end\\\n"
        return [arpa], with_file(load, ".arpa")
    if name == "fasttext":
        from stages.kernels.fasttext.model import load as load_fasttext
        from tests.helpers.fasttext_model import model_bytes

        return [
            model_bytes(loss=3, minn=2, maxn=3),
            model_bytes(loss=1, minn=0, maxn=0, quantised=True),
        ], with_file(load_fasttext, ".ftz")
    from stages.decoding.encoding import EncodingError, decode
    from stages.decoding.mojibake import repair

    texts = [("山不在高，有仙則名。" * 9).encode(code) for code in ("utf-8", "gb18030", "utf-16", "big5")]

    def run(data: bytes) -> Counter[str]:
        try:
            text, encoding = decode(data, ("gbk",))
        except EncodingError:
            return Counter(["EncodingError"])
        if name == "mojibake":
            repair(text)
        return Counter([encoding])

    return texts, run


def target(name: str) -> tuple[list[bytes], Callable[[bytes], Counter[str]]]:
    """Return the corpus and the function of a reader or parser."""
    if name in PARSERS:
        return parse_with(name)
    seeds = columnar(name) if name in ("parquet", "arrow") else corpus(name)
    return [seed for seed in seeds if len(seed) < 50_000], read_with(name)


def fuzz(name: str, n: int, seed: int, current: Path | None = None) -> Outcome:
    """Run n inputs. current: file that always holds the input that is being read, for a process that may die."""
    seeds, run = target(name)
    rng, outcome = random.Random(f"{name} {seed}"), Outcome(n, Counter(), [], 0.0, 0)
    warm = resident_bytes()
    begin = time.process_time()
    for i in range(n):
        data = mutate(seeds, rng)
        if i == n // 2:
            warm = resident_bytes()
        if current is not None:
            current.write_bytes(data)
        if why := fails(run, data, outcome.reasons):
            outcome.failures.append((data, why))
    outcome.seconds, outcome.grown_bytes = time.process_time() - begin, resident_bytes() - warm
    return outcome


def fails(run: Callable[[bytes], Counter[str]], data: bytes, reasons: Counter[str]) -> str:
    """Return why an input fails, or nothing; counts its reasons."""
    begin = time.process_time()
    try:
        reasons.update(run(data))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"[:300]
    seconds = time.process_time() - begin
    return f"{seconds:.1f} s" if seconds > SECONDS else ""


def keep(name: str, data: bytes, why: str) -> None:
    """Write an input that failed to the folder of found inputs."""
    FOUND.mkdir(exist_ok=True)
    (FOUND / f"{name}-{len(list(FOUND.glob(f'{name}-*'))):03d}").write_bytes(data)
    print(f"  {why}", flush=True)


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def run_target(name: str, n: int, seed: int, current: Path) -> bool:
    """Fuzz one target in this process and print its line; returns whether it failed."""
    outcome = fuzz(name, n, seed, current)
    common = ", ".join(f"{reason} {count:,}" for reason, count in outcome.reasons.most_common(6))
    print(
        f"{name}: {outcome.n:,} inputs, {len(outcome.failures)} failures, {outcome.seconds:.0f} s, "
        f"{outcome.grown_bytes / 1e6:+.0f} MB; {common}", flush=True,
    )  # fmt: skip
    for why, data in {why: data for data, why in outcome.failures}.items():
        keep(name, data, why)
    return bool(outcome.failures) or outcome.grown_bytes > LEAK_BYTES


def main() -> None:
    """Print a line for each target, which has a process of its own; exit with 1 if any input failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()) // 86_400, help="default: the day")
    parser.add_argument("--only", action="append", choices=(*READERS, *PARSERS))
    parser.add_argument("--current", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.current:
        sys.exit(run_target(options.only[0], options.inputs, options.seed, options.current))
    is_bad = False
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or (*READERS, *PARSERS):
            current = Path(folder, name)
            command = [
                sys.executable,
                "-m",
                "scripts.maintenance.fuzz",
                "--only",
                name,
                "--current",
                str(current),
            ]
            status = subprocess.run(
                [*command, "--inputs", str(options.inputs), "--seed", str(options.seed)], check=False
            ).returncode
            if status < 0:
                keep(name, current.read_bytes(), f"{name}: the process died: {signal.Signals(-status).name}")
            is_bad |= bool(status)
    sys.exit(is_bad)


if __name__ == "__main__":
    main()
