"""The reader of zip and tar files: members by kind, names of other encodings, damage, bombs, names that lead out."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.stage import Record
from stages.readers import members
from tests.helpers.records import documents, parquet_bytes, read_all

ZH = "春天来了，河边的柳树发了芽。孩子们在草地上放风筝，老人们在树下下棋，谁也不着急回家。"
FILES = {
    "目录/第一篇.txt": ZH.encode("gb18030"),
    "b.md": b"---\ntitle: x\n---\nA page of text",
    "c.jsonl": b'{"text":"one"}\n{"text":\n{"text":"two"}\n',
    "d.csv": f"id,content\n1,{ZH}\n2,x,y\n".encode("gb18030"),
    "e.txt.gz": gzip.compress(b"compressed text"),
    "pic.png": b"\x89PNG",
    "../../etc/passwd": b"a name that leads out",
    "x/.hidden": b"hidden",
    "f.parquet": parquet_bytes(documents(2)),
}
EXPECTED = [
    "目录/第一篇.txt", "b.md", "c.jsonl", "invalid_json", "c.jsonl", "d.csv", "ragged_row", "e.txt.gz", "member .png",
    "../../etc/passwd", "hidden member", "f.parquet", "f.parquet",
]  # fmt: skip


class GbkInfo(zipfile.ZipInfo):
    """A member named in GBK without the flag of UTF-8, as zip programs of Chinese Windows write it."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  # the method of the library
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def zipped(files: dict[str, bytes], kind: type[zipfile.ZipInfo] = zipfile.ZipInfo) -> bytes:
    """A zip file."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, data in files.items():
            archive.writestr(kind(name), data, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def tarred(files: dict[str, bytes], **options: Any) -> bytes:
    """A tar file with a symbolic link at its end."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", **options) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return sink.getvalue()


def told(records: list[Record]) -> list[str]:
    """The member of each document, the reason of each other record."""
    return [record.fields["archive_member"] if record.fields else str(record.reason) for record in records]


@pytest.mark.parametrize("kind", [zipfile.ZipInfo, GbkInfo])
def test_members_of_zip_files_are_read(kind: type[zipfile.ZipInfo]) -> None:
    """Each by its kind and encoding, under its name, also a GBK one; positions count on, skipped members included."""
    records = read_all(members.READER, zipped(FILES, kind))
    assert told(records) == EXPECTED
    assert [record.position for record in records] == list(range(len(EXPECTED)))
    assert records[0].fields is not None and records[0].fields["text"] == ZH
    assert str(records[3].detail).startswith("c.jsonl: ")


@pytest.mark.parametrize("options", [{}, {"encoding": "gbk", "format": tarfile.GNU_FORMAT}])
def test_members_of_tar_files_are_read(options: dict[str, Any]) -> None:
    """The same, also compressed and one behind the other; links are skipped."""
    data = tarred(FILES, **options)
    expected = [*EXPECTED, "link or device"]
    for packed in (data, gzip.compress(data)):
        assert told(read_all(members.READER, packed)) == expected
    assert told(read_all(members.READER, data + data)) == expected * 2


def test_damage_costs_one_member() -> None:
    """A wrong checksum, bytes between members, an end that is missing: the rest is read, and the loss reported."""
    data = bytearray(zipped(FILES))
    at = data.index(b"c.jsonl") + 12
    data[at : at + 4] = b"\0\0\0\0"
    found = told(read_all(members.READER, bytes(data)))
    assert found == [*EXPECTED[:2], "corrupt_member", *EXPECTED[5:]]
    tar = tarred({"a.txt": b"first", "b.txt": b"second"})
    broken = bytearray(tar)
    broken[1024:1028] = b"\xff\xff\xff\xff"
    assert told(read_all(members.READER, bytes(broken)))[:2] == ["a.txt", "corrupt_tar"]
    cut = read_all(members.READER, tar[:1024])
    assert (told(cut), cut[-1].position, cut[-1].lost_bytes) == (["a.txt", "truncated"], -1, 1024)
    packed = gzip.compress(tarred(FILES))
    assert read_all(members.READER, packed[: len(packed) // 2])[-1].reason == "truncated"
    assert told(read_all(members.READER, zipped(FILES)[:4])) == ["unreadable_zip"]
    for junk in (b"x" * 2000, b""):
        assert told(read_all(members.READER, junk)) == ["unreadable_tar"]


class _Forward(io.RawIOBase):
    """A sink that cannot seek, so that sizes are written behind each member's data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(bytes(data))


@pytest.mark.parametrize("form", ["sizes", "GBK", "descriptors", "stored"])
def test_zip_files_without_their_directory_are_read(form: str) -> None:
    """Members are found by their own headers; the one that is cut off is broken, and the file is reported."""
    data = zipped(FILES, GbkInfo if form == "GBK" else zipfile.ZipInfo)
    if form in ("descriptors", "stored"):
        sink = _Forward()
        with zipfile.ZipFile(
            sink, "w", zipfile.ZIP_DEFLATED if form == "descriptors" else zipfile.ZIP_STORED
        ) as archive:
            for name, content in FILES.items():
                archive.writestr(name, content)
        data = bytes(sink.data)
    directory = data.index(b"PK\x01\x02")
    cut = read_all(members.READER, data[:directory])
    assert told(cut) == [*EXPECTED, "truncated"] and (cut[-1].position, cut[-1].lost_bytes) == (-1, directory)
    assert cut[0].fields is not None and cut[0].fields["text"] == ZH
    damaged = read_all(members.READER, data[:-30])
    assert told(damaged) == [*EXPECTED, "unreadable_zip"] and damaged[-1].lost_bytes == 0
    inside = read_all(members.READER, data[: data.index(b"d.csv") + 20])
    assert told(inside)[:5] == EXPECTED[:5] and told(inside)[-1] == "truncated"
    assert "corrupt_member" in told(inside)[5:]


def test_bombs_and_depth_are_bounded() -> None:
    """A member that inflates too far ends, and the next is read; archives in archives have a depth."""
    bomb = zipped({"bomb.txt": b"a" * (4 << 20), "after.txt": b"after the bomb"})
    records = read_all(members.READER, bomb, ratio_free_bytes=1 << 20)
    assert told(records) == ["corrupt_member", "after.txt"]
    inner = zipped({"in.txt": b"inner text"})
    nested = zipped({"one.zip": inner, "two.zip": zipped({"three.zip": inner})})
    assert told(read_all(members.READER, nested)) == ["one.zip/in.txt", "too_deep_archive"]
    assert told(read_all(members.READER, nested, max_member_bytes=10)) == ["member_too_large"] * 2
    with pytest.raises(ConfigError):
        members.Config(max_depth=0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8), st.sampled_from(["zip", "tar"]))
def test_any_damage_is_accounted_for(at: int, damage: bytes, kind: str) -> None:
    """Never an exception: documents, or records with a reason, at positions that count up."""
    small = {name: FILES[name] for name in ("b.md", "c.jsonl", "e.txt.gz")}
    data = bytearray(zipped(small) if kind == "zip" else tarred(small))
    assume(at < len(data))
    data[at : at + len(damage)] = damage
    records = read_all(members.READER, bytes(data))
    positions = [record.position for record in records if record.position >= 0]
    assert positions == list(range(len(positions)))
    assert all(record.fields or record.reason for record in records)
