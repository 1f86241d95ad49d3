"""Credentials, links and hostile fields: none of them gets where others can read or run it."""

from __future__ import annotations

import csv
import io
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError, StoreError, UsageError
from pipeline.report.card import license_section
from pipeline.report.release_numbers import Counts, LicenseNumbers, ReleaseNumbers
from pipeline.storage.base import explained
from pipeline.storage.credentials import (
    FILE,
    PREFIXES,
    check_url,
    load_credentials,
    masked,
    write_credentials,
)
from pipeline.storage.local import UMASK
from pipeline.storage.store import list_inputs, open_input, open_store
from tests.helpers.build import cli, start, tiny, write_run
from tests.helpers.s3server import BUCKET, serve

PLANTED = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDACCESS000",
    "AWS_SECRET_ACCESS_KEY": "planted/secret+of+the+store/000000000000",
    "AWS_SESSION_TOKEN": "planted-session-token-000000",
    "GOOGLE_SERVICE_ACCOUNT_KEY": "planted-google-key-000000",
    "AZURE_STORAGE_ACCOUNT_KEY": "planted-azure-key-000000",
}
HOSTILE = (
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "[x](javascript:alert(1))",
    "a|b",
    "`c` _d_ **e**",
)


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for what Ray writes; short, since sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def arguments_of_processes() -> bytes:
    """The command lines of all processes of this machine."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:  # it has ended
            continue
    return b"\n".join(lines)


def holders(*folders: Path) -> list[str]:
    """Files below the folders, readable by others or not, that hold a planted secret."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in PLANTED.values()):
            found.append(str(path))
    return found


def watched(process: subprocess.Popen[str]) -> tuple[str, str, bytes]:
    """Wait for a command; its output, and the command lines that were seen meanwhile."""
    seen = b""
    while process.poll() is None:
        seen += arguments_of_processes()
        time.sleep(0.5)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out, err, seen


def objects(url: str, folder: Path) -> Path:
    """Copy a bucket's objects into a folder."""
    store = open_store(url)
    for key, _ in store.list():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(key))
    return folder


@pytest.mark.parametrize("address", [False, True])
def test_ray_is_told_no_secret(
    tmp_path: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch, address: bool
) -> None:
    """Credentials reach workers, of Ray started here or running already, and no log, argument, output or record."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    run_path = write_run(tmp_path, tiny(tmp_path, annotate=["stages.dedup.exact"]))
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        monkeypatch.delenv(name)
    nodes = None
    with serve() as environment:
        if address:  # started without credentials: they can come by the file alone
            nodes = Cluster(
                initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20}
            )
        try:
            for name, value in (environment | PLANTED).items():
                monkeypatch.setenv(name, value)
            url = f"s3://{BUCKET}/corpus"
            where = ("--address", nodes.address) if nodes else ("--engine", "ray", "--workers", "1")
            out, err, seen = watched(start("run", run_path, "--store", url, "--json", *where))
            stored = objects(url, tmp_path / "stored")
        finally:
            if nodes:
                nodes.shutdown()
    assert (stored / "releases" / "tiny" / "README.md").exists()
    assert not [secret for secret in PLANTED.values() if secret in out + err or secret.encode() in seen]
    assert list(ray_folder.rglob("*.out")), "Ray wrote no log: there is nothing to look into"
    assert holders(ray_folder, stored) == []
    left = [path for path in Path(tempfile.gettempdir()).glob("bicorpus-*/files/credentials.json")]
    assert [path for path in left if PLANTED["AWS_SECRET_ACCESS_KEY"] in path.read_text()] == []


def test_the_file_of_workers_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode 600; a worker takes its variables up; one that cannot read it keeps those of its node."""
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    path = write_credentials(tmp_path)
    assert path is not None and stat.S_IMODE(path.stat().st_mode) == 0o600
    for name in PLANTED:
        monkeypatch.setenv(name, "of the node")
    monkeypatch.setenv(FILE, str(tmp_path / "elsewhere"))
    load_credentials()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "of the node"
    monkeypatch.setenv(FILE, str(path))
    load_credentials()
    assert {name: os.environ[name] for name in PLANTED} == PLANTED


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAEXAMPLE:hiddenword@bucket/prefix", "s3://AKIAEXAMPLE:hidden/wo+rd/x@bucket", "s3://AKIAHIDDENWORD@b/x",
        "gs://user:hiddenword@bucket", "az://box/x?sv=2024&sig=hiddenword", "abfss://box:hiddenword@account/x",
        "https://e.cn/x?X-Amz-Signature=hiddenword&a=b",
    ],
)  # fmt: skip
def test_a_url_with_a_secret_is_refused(url: str, tmp_path: Path) -> None:
    """As a store, an input, and anywhere in a run file, broken or not; nothing of it is printed or stored."""
    for use in (open_store, list_inputs, open_input, check_url):
        with pytest.raises(UsageError, match="leave it out") as error:
            use(url)
        assert "hidden" not in str(error.value).lower()
    page = tiny(tmp_path)
    page["sources"][0]["files"] = [url]
    run_path = write_run(tmp_path, page)
    for ending in ("", "\n: [ not yaml"):
        run_path.write_text(run_path.read_text() + ending)
        ended = cli("run", run_path, "--store", tmp_path / "store", "--engine", "local")
        assert ended.code == 2 and "line" in ended.err and "leave it out" in ended.err
        assert "hidden" not in (ended.out + ended.err).lower()
    assert not (tmp_path / "store").exists()
    ended = cli("status", "--store", url)
    assert ended.code == 2 and "hidden" not in (ended.out + ended.err).lower()


def test_other_urls_are_as_before() -> None:
    """A container of Azure, an `@` in a path and ssh addresses are no secrets."""
    for url in (
        "abfss://box@account.dfs.core.windows.net/x",
        "s3://bucket/a@b.jsonl",
        "ssh://git@host/x",
        "http://host:9000/a@b",
        "s3://bucket/a:b@c",
    ):
        assert check_url(url) == url and masked(url) == url


def test_what_a_server_says_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that an error of the object store repeats are in no message and in no chained error."""
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError) as error, explained("s3://bucket"):
        raise ValueError(f"InvalidAccessKeyId {PLANTED['AWS_ACCESS_KEY_ID']} at https://u:p@host/")
    assert "InvalidAccessKeyId ***" in str(error.value) and "u:p@" not in str(error.value)
    assert error.value.__cause__ is None


# Links


@pytest.fixture
def linked(tmp_path: Path) -> dict[str, Any]:
    """A run over a folder whose links lead out of it, as whoever may write there can make them."""
    page = tiny(tmp_path / "in")
    secret = tmp_path / "private"
    secret.mkdir()
    (secret / "diary.jsonl").write_text('{"text": "the diary of somebody else, never to be published"}\n')
    (tmp_path / "in" / "link.jsonl").symlink_to(secret / "diary.jsonl")
    page["sources"][0]["files"] = "in/*.jsonl"
    return page


def test_a_link_out_of_the_folder_is_refused(linked: dict[str, Any], tmp_path: Path) -> None:
    """A file or folder behind a link that a glob matches stops the run before any work, unless it is asked for."""
    run_path = write_run(tmp_path, linked)
    ended = cli("run", run_path, "--store", tmp_path / "store", "--engine", "local")
    assert ended.code == InputError.exit_code and "link.jsonl: a link that leads out of" in ended.err
    assert not list((tmp_path / "store").rglob("*.parquet"))
    (tmp_path / "in" / "link.jsonl").unlink()
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "private")
    with pytest.raises(InputError, match="leads out"):
        list_inputs(f"{tmp_path}/in/**/*.jsonl")
    linked["sources"][0] |= {"files": "in/**/*.jsonl", "follow_links": True}
    ended = cli(
        "run", write_run(tmp_path, linked), "--store", tmp_path / "store", "--engine", "local", "--json"
    )
    assert ended.ok().json["ingested"] == 9


def test_links_inside_and_files_named_themselves_are_read(linked: dict[str, Any], tmp_path: Path) -> None:
    """A link that stays in its folder, a folder that is a link, and a file that the run file names."""
    (tmp_path / "in" / "link.jsonl").unlink()
    (tmp_path / "in" / "again.jsonl").symlink_to(tmp_path / "in" / "docs.jsonl")
    (tmp_path / "private" / "link.jsonl").symlink_to(tmp_path / "in" / "docs.jsonl")
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    assert len(list_inputs(f"{tmp_path}/in/*.jsonl")) == 2
    assert len(list_inputs(f"{tmp_path}/alias/*.jsonl")) == 2
    assert len(list_inputs(f"{tmp_path}/private/link.jsonl")) == 1


def test_init_leaves_links_out(linked: dict[str, Any], tmp_path: Path) -> None:
    """`init` lists a link that leads out as not used; with --follow-links its run file asks for it."""
    ended = cli("init", tmp_path / "in", "--out", tmp_path / "a.yaml").ok()
    assert "link.jsonl: a link that leads out" in ended.err
    assert "diary" not in (tmp_path / "a.yaml").read_text() and "follow" not in ended.out
    run = ("--store", tmp_path / "a", "--engine", "local", "--json")
    assert cli("run", tmp_path / "a.yaml", *run).ok().json["ingested"] == 8
    cli("init", tmp_path / "in", "--out", tmp_path / "b.yaml", "--follow-links").ok()
    assert "follow_links: true" in (tmp_path / "b.yaml").read_text()
    run = ("--store", tmp_path / "b", "--engine", "local", "--json")
    assert cli("run", tmp_path / "b.yaml", *run).ok().json["ingested"] == 9


# Fields of documents


def test_hostile_licences_come_to_nothing(tmp_path: Path) -> None:
    """Licences with HTML, Markdown and formulas are plain text in the card, the report and licenses.csv."""
    rows = [
        {"text": f"Document {i}, which has a licence. 第 {i} 篇。", "license": name}
        for i, name in enumerate(HOSTILE)
    ]
    run_path = write_run(tmp_path, tiny(tmp_path, rows))
    cli("run", run_path, "--store", tmp_path / "store", "--engine", "local").ok()
    release = tmp_path / "store" / "releases" / "tiny"
    card, report = (release / "README.md").read_text(), (release / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in card and "<script>" not in card
    assert "<script>alert(1)" not in report and "\\u003cscript\\u003ealert(1)" in report
    assert r"\[x\](javascript:alert(1))" in card and r"a\|b" in card and r"\`c\` \_d\_ \*\*e\*\*" in card
    for row in csv.DictReader(io.StringIO((release / "licenses.csv").read_text())):
        assert row["license"].lstrip("'") in HOSTILE and row["license"][0] not in "=+-@"
    assert "\"'=cmd|" in (release / "licenses.csv").read_text()


def test_sources_of_a_licence_are_escaped() -> None:
    """Names in lists are escaped as well as those in cells of their own."""
    row = LicenseNumbers(license="MIT", documents=1, tokens=2, sources=["<b>", "c"])
    counts = Counts(read=1, quarantined=0, erased=0, ingested=1, kept=1, dropped=0)
    report = ReleaseNumbers(
        name="", corpus="", version="", recipe="", counts=counts, funnel={}, failed={}, rules=[], mixes={},
        default_mix="", quarantined={}, licenses=[row],
    )  # fmt: skip
    assert "| &lt;b&gt;, c |" in "\n".join(license_section(report))


# Permissions


@pytest.mark.parametrize(("umask", "file", "folder"), [(None, 0o640, 0o750), ("022", 0o644, 0o755)])
def test_a_store_is_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: str | None, file: int, folder: int
) -> None:
    """Files and folders of a store are closed to other users, whatever the shell's umask is, or as a setting says."""
    monkeypatch.delenv(UMASK, raising=False)
    if umask:
        monkeypatch.setenv(UMASK, umask)
    before = os.umask(0)
    try:
        run_path = write_run(tmp_path, tiny(tmp_path, annotate=["stages.dedup.exact"]))
        cli("run", run_path, "--store", tmp_path / "store", "--engine", "local").ok()
    finally:
        os.umask(before)
    modes = {
        (path.is_dir(), stat.S_IMODE(path.stat().st_mode))
        for path in (tmp_path / "store", *(tmp_path / "store").rglob("*"))
    }
    assert modes == {(True, folder), (False, file)}


def test_a_bad_umask_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no octal number stops the run and says what is expected."""
    monkeypatch.setenv(UMASK, "rwx")
    run_path = write_run(tmp_path, tiny(tmp_path))
    ended = cli("run", run_path, "--store", tmp_path / "store", "--engine", "local")
    assert ended.code == 2 and "BICORPUS_UMASK is 'rwx'; expected an octal number" in ended.err
