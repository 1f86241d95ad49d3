"""Train the shipped tokenizer: byte-level BPE on the documents of sample/.

Reads the JSONL, Parquet and WET files of the sample, without broken records, exact duplicates and forum_spam; writes
one tokenizer.json. Equal input gives an equal file, regardless of the number of threads.

Example: python -m scripts.training.train_tokenizer --sample sample --out stages/models/tokenizer.json
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_DOCUMENT = "<|endoftext|>"
TEXT_FIELDS = ("text", "content", "raw_content")
MAX_TOKEN_BYTES = 24  # eight Han characters; longer tokens would be boilerplate of the sample

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|\p{Han}{1,16}"
    r"|[^\r\n\p{L}\p{N}]?[[\p{L}\p{M}]&&[^\p{Han}]]+"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pre-tokenization pattern: that of tiktoken's cl100k_base, with separate runs of Han.

In cl100k_base Han characters are ordinary letters, so a token may join a Chinese word to a Latin word or a full stop
before it. Here a run of Han is separate, in pieces of at most 16 characters, which also bounds the work on text without
spaces. Combining marks belong to their letter.
"""


def texts(path: Path) -> Iterator[str]:
    """Yield the valid texts of one file."""
    if path.name.endswith(".parquet"):
        yield from pq.read_table(path, columns=["text"])["text"].to_pylist()
    elif path.name.endswith(".wet.gz"):
        for record in ArchiveIterator(io.BytesIO(path.read_bytes()), record_types=WarcRecordType.conversion):
            yield record.reader.read().decode()
    else:
        data = path.read_bytes()
        is_gzip = path.name.endswith(".gz")
        plain = gzip.decompress(data) if is_gzip else zstandard.ZstdDecompressor().decompress(data)
        for line in plain.splitlines():
            try:
                record = json.loads(line)
                text = next(record[field] for field in TEXT_FIELDS if field in record)
                text.encode()
            except (ValueError, TypeError, AttributeError, StopIteration):
                continue  # a broken record, listed in README.md
            yield text


def documents(sample: Path) -> list[str]:
    """Distinct texts of all files except forum_spam, in file order."""
    files = sorted(path for path in sample.iterdir() if path.suffix in (".gz", ".zst", ".parquet"))
    kept = (text for path in files if not path.name.startswith("forum_spam") for text in texts(path))
    return list(dict.fromkeys(kept))


def train(corpus: list[str], vocabulary: int) -> Tokenizer:
    """Train byte-level BPE; every byte is a token, so there are no unknown tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=4,
        special_tokens=[END_OF_DOCUMENT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=MAX_TOKEN_BYTES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer, length=len(corpus))
    return tokenizer


def main() -> None:
    """Read the command line, train and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sample", type=Path, default=Path("sample"))
    parser.add_argument("--out", type=Path, default=Path("stages/models/tokenizer.json"))
    parser.add_argument("--vocabulary", type=int, default=20_480, help="number of tokens")
    arguments = parser.parse_args()
    tokenizer = train(documents(arguments.sample), arguments.vocabulary)
    arguments.out.write_text(tokenizer.to_str(pretty=False), encoding="utf-8")


if __name__ == "__main__":
    main()
