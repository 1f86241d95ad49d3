"""Files to import: formats and dtypes detected from content, refusals with their reason, and joins by key."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.imported_table import Lookup, prepare
from pipeline.errors import InputError
from pipeline.ingest.import_files import infer_column
from tests.helpers.build import cli


def refused(folder: Path, data: bytes, *options: object, on: str = "doc_id", name: str = "reviews") -> str:
    """The message of a refused import; the store's imports are as before."""
    (folder / "bad").write_bytes(data)
    done = cli(
        "import", name, folder / "bad", "--on", on, "--store", folder / "store", "--workers", 1, *options
    )
    assert done.code == 2, done.err + done.out
    assert not (folder / "store/imports/catalog.json").exists()
    return done.err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("doc_id,v\na,好\nb,x\na,差\n", "the doc_id 'a' has two rows with different values: v '好' and '差'"),
        ("doc_id,v\na,1\nb,x\na,\nb,2\n", "'a' has two rows with different values: v '1' and None, and so for 1 more"),
        ('{"doc_id": "a", "v": [1]}\n{"doc_id": "a", "v": [1, 2]}\n', "v [1] and [1, 2]"),
        ("docid,v\na,1\n", "the column 'doc_id' is missing; did you mean 'docid'"),
        ("doc_id,v,v\na,1,2\n", "the column 'v' occurs twice or has no name"),
        ("doc_id\na\n", "no column besides 'doc_id'"),
        ("doc_id,v\n", "no rows"),
        ("doc_id,v\n,1\n", "no row has a doc_id"),
        ('{"doc_id": 1, "v": 2}\n', "the column 'doc_id' is int64; expected text"),
        ('[{"doc_id": "a"}]', "a JSON array; expected one JSON object per line"),
        ('{"doc_id": "a", "v": 1}\n{"doc_id": "a", "v":', "read as JSON Lines"),
        ("doc_id,v\na,1,2,3\n", "read as CSV"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_with_what_was_found(tmp_path: Path, data: str, message: str) -> None:
    """A file that contradicts itself or cannot be read changes nothing and is named."""
    assert message in refused(tmp_path, data.encode())


def test_other_bad_input_is_refused(tmp_path: Path) -> None:
    """Damage, another encoding, an unknown column, a name that is no prefix, a missing file."""
    packed = gzip.compress(b"doc_id,v\na,1\n" * 99)
    assert "truncated" in refused(tmp_path, packed[:-9])
    assert "read as CSV" in refused(tmp_path, "doc_id,评语\na,好\n".encode("gb18030"))
    assert "the column 'w' is missing" in refused(tmp_path, b"doc_id,v\na,1\n", "--columns", "w")
    assert "the name 'my-reviews'" in refused(tmp_path, b"doc_id,v\na,1\n", name="my-reviews")
    assert cli("import", "r", tmp_path / "none", "--on", "url", "--store", tmp_path / "store").code == 2


KEYS = st.text("ab中🙂", max_size=3)


@given(
    st.dictionaries(KEYS.filter(bool), st.integers(0, 9), min_size=1),
    st.lists(st.none() | KEYS),
    st.integers(0, 9),
)
def test_lookup_finds_what_a_dictionary_finds(
    table: dict[str, int], wanted: list[str | None], cut: int
) -> None:
    """The binary search agrees with a dictionary on any keys, chunks and nulls."""
    stored = prepare(
        pa.table({"url": pa.array(table, pa.string()), "v": pa.array(table.values(), pa.int64())})
    )
    keys = pa.chunked_array([pa.array(part, pa.string()) for part in (wanted[:cut], wanted[cut:])])
    lookup = Lookup(stored)
    found = lookup(pa.table({"url": keys}))
    assert found.schema == pa.schema({"v": pa.int64()})
    assert found["v"].to_pylist() == [table.get(key) if key is not None else None for key in wanted]
    rows = lookup.rows(keys)
    assert rows.dtype == np.int64 and set(np.flatnonzero(rows < 0)) == {
        i for i, k in enumerate(wanted) if k not in table
    }


@given(st.lists(st.tuples(KEYS.filter(bool), st.sampled_from([None, 1.5, 2.5])), min_size=1))
def test_repeated_keys_must_agree(rows: list[tuple[str, float | None]]) -> None:
    """A table is accepted exactly when no key has two values, and then each key occurs once, in order."""
    keys, values = zip(*rows, strict=True)
    table = pa.table({"doc_id": pa.array(keys, pa.string()), "v": pa.array(values, pa.float64())})
    nested = table.append_column("w", pa.array([[value] for value in values], pa.list_(pa.float64())))
    for each in (table, nested, nested.select(["doc_id", "w"])):
        if len(set(rows)) > len(set(keys)):
            with pytest.raises(InputError, match="has two rows with different values"):
                prepare(each)
        else:
            assert prepare(each)["doc_id"].to_pylist() == sorted(set(keys), key=lambda key: key.encode())


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-20", "0", None], "int64"),
        (["1", "2.5", ".5", "1e-3"], "double"),
        (["True", "false"], "bool"),
        (["007", "1"], "string"),
        (["1234567890123456789012", "1"], "string"),
        (["2024-01-01"], "string"),
        (["nan"], "string"),
        (["1", "x"], "string"),
        ([None, None], "string"),
    ],
)
def test_cells_of_a_csv_get_a_type_only_if_all_have_it(cells: list[str | None], kind: str) -> None:
    """Numbers and booleans are recognised; ids with leading zeros, long ids and dates are kept as text."""
    assert str(infer_column(pa.chunked_array([pa.array(cells, pa.string())])).type) == kind
