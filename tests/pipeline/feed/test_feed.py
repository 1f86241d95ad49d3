"""The feed: ranks and workers read every sample once, and a reader that was stopped loses and repeats none."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli.releases import locate
from pipeline.errors import InputError, UsageError
from pipeline.feed.reader import Reader, Share, consumed, read_ahead
from pipeline.feed.share import count_of_worker, of_rank, of_worker
from pipeline.feed.sources import IGNORED, PackedSequences, Sequences, Source, Texts, open_source
from pipeline.inspect.locate import locate_documents, locate_samples
from pipeline.inspect.megatron import MegatronIndex
from pipeline.storage.store import open_store
from tests.helpers.build import build, command, tiny, write_run
from tests.helpers.paths import ROOT
from tests.helpers.token_readers import read_megatron

LENGTH = 16


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A release of 60 documents in several parts, with token files of every kind that a feed reads."""
    folder = tmp_path_factory.mktemp("feed")
    rows = [{"id": str(i), "text": f"Document {i} is here. 第 {i} 篇文章。" * (1 + i % 7)} for i in range(60)]
    config = {
        "formats": ["megatron", "ds", "parquet"], "pack": "best_fit", "sequence_length": 64, "document_masks": True,
    }  # fmt: skip
    page = tiny(
        folder,
        rows,
        annotate=["stages.tokens"],
        mix={"mixes": {"natural": {}}},
        release={"name": "v1", "part_bytes": "3kB"},
        tokens={"config": config},
    )
    build(write_run(folder, page), folder / "store")
    return str(folder / "store/releases/v1")


@pytest.fixture(scope="module")
def stream(release: str) -> list[list[int]]:
    """Tokens of each document in training order, by the independent reader."""
    parts = sorted(Path(release, "tokens/natural").glob("*.bin"))
    assert len(parts) > 2
    return [document for part in parts for document in read_megatron(part.with_suffix(""))]


def positions_of(source: Source, share: Share, n_workers: int) -> list[int]:
    """Positions that a rank gets from a loader with workers, which are asked for a batch in turn."""
    workers = [Reader(source, share).iterate(worker, n_workers) for worker in range(n_workers)]
    read: list[int] = []
    left = set(range(n_workers))
    for worker in itertools.cycle(range(n_workers)):
        batch = [sample["position"] for sample in itertools.islice(workers[worker], share.batch_size)]
        read += batch
        if len(batch) < share.batch_size:
            left.discard(worker)
        if not left:
            return read
    raise AssertionError


@pytest.mark.parametrize("world", [1, 2, 8])
@pytest.mark.parametrize("kind", ["texts", "sequences", "packed"])
def test_ranks_read_every_sample_once(release: str, world: int, kind: str) -> None:
    """All ranks together, each with three workers, read every sample of the mix once, each rank in training order."""
    source = open_source(
        release, sequence_length=LENGTH if kind == "sequences" else None, packed=kind == "packed"
    )
    read = [positions_of(source, Share(rank, world, 0, 4), 3) for rank in range(world)]
    assert sorted(itertools.chain(*read)) == list(range(len(source)))
    assert all(rank == sorted(rank) for rank in read)
    even = [positions_of(source, Share(rank, world, 0, 4, drop_last=True), 3) for rank in range(world)]
    assert {len(rank) for rank in even} == {len(source) // world}


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 200),
    st.integers(0, 20),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 7),
    st.booleans(),
)
def test_shares_divide_the_samples(
    n: int, start: int, world: int, workers: int, batch: int, drop: bool
) -> None:
    """Shares of ranks and workers are disjoint and complete, and skipping begins after the samples that are skipped."""
    start = min(start, n)
    read: list[int] = []
    for rank in range(world):
        positions = of_rank(n, start, rank, world, drop)
        for worker in range(workers):
            own = list(of_worker(positions, batch, worker, workers))
            assert len(own) == count_of_worker(len(positions), batch, worker, workers)
            for skip in {0, len(own) // 2, len(own)}:
                assert list(of_worker(positions, batch, worker, workers, skip)) == own[skip:]
            read += own
    left_out = (n - start) % world if drop else 0
    assert sorted(read) == list(range(start, n - left_out))


def test_texts_are_those_of_the_mix(release: str) -> None:
    """Texts come in the order of the mix, from any position."""
    order = pq.read_table(Path(release, "orders/natural.parquet"))["doc_id"].to_pylist()
    source = Texts(release)
    rows = list(source.read(range(len(source))))
    assert [row["doc_id"] for row in rows] == order
    assert list(source.read(range(5, len(source), 7))) == rows[5::7]


@pytest.mark.parametrize("ending", ["bin", "ds"])
def test_sequences_are_the_tokens_of_the_mix(release: str, stream: list[list[int]], ending: str) -> None:
    """Inputs are consecutive tokens across files, labels one further; positions begin anew with each document."""
    source = Sequences(release, None, LENGTH, masks=True)
    source.ending = ending
    flat = np.array(list(itertools.chain(*stream)))
    document = np.repeat(np.arange(len(stream)), [len(row) for row in stream])
    place = np.concatenate([np.arange(len(row)) for row in stream])
    assert len(source) == (len(flat) - 1) // LENGTH
    for n, sample in enumerate(source.read(range(len(source)))):
        here = slice(n * LENGTH, (n + 1) * LENGTH)
        following = flat[here.start + 1 : here.stop + 1]
        is_end = document[here] != document[here.start + 1 : here.stop + 1]
        assert np.array_equal(sample["input_ids"], flat[here])
        assert np.array_equal(sample["labels"], np.where(is_end, IGNORED, following))
        assert np.array_equal(sample["documents"], document[here])
        assert np.array_equal(sample["position_ids"], place[here])
        assert np.array_equal(source.documents(n), np.unique(document[here]))


def test_packed_sequences_lead_back_to_documents(release: str, stream: list[list[int]]) -> None:
    """The tokens of each document are those of the stream; padding and ends have no label."""
    source = PackedSequences(release, None, masks=True)
    found: dict[int, list[int]] = {}
    for sample in source.read(range(len(source))):
        assert len(sample["input_ids"]) == 64
        for document in source.documents(sample["position"]):
            mine = sample["documents"] == document
            found.setdefault(int(document), []).extend(sample["input_ids"][mine])
            assert sample["labels"][mine][-1] == IGNORED
            assert np.array_equal(sample["labels"][mine][:-1], sample["input_ids"][mine][1:])
        assert (sample["labels"][sample["documents"] == -1] == IGNORED).all()
    assert sorted(found) == list(range(len(stream)))
    for document, tokens in enumerate(stream):
        assert sorted(found[document]) == sorted(tokens)


@pytest.mark.parametrize("prefetch", [0, 24])
def test_a_state_is_exact_to_the_sample(release: str, prefetch: int) -> None:
    """A reader continues after the last sample that it handed out, also with samples read ahead, and pickled."""
    source = Sequences(release, None, LENGTH)
    share = Share(1, 2, 3, 4)
    everything = [sample["position"] for sample in Reader(source, share)]
    for n in (0, 1, 6, len(everything)):
        reader = Reader(source, share, prefetch)
        iterator = iter(reader)
        read = [sample["position"] for sample in itertools.islice(iterator, n)]
        state = json.loads(json.dumps(reader.state_dict()))
        iterator.close()
        resumed = pickle.loads(pickle.dumps(Reader(source, share, prefetch)))
        resumed.load_state_dict(state)
        assert read + [sample["position"] for sample in resumed] == everything
        assert [sample["position"] for sample in resumed] == everything  # the next pass is whole


def test_other_numbers_of_ranks_continue_at_a_step(release: str) -> None:
    """After three steps of two ranks, five ranks continue with the samples that are left."""
    source = Sequences(release, None, LENGTH)
    before = [list(itertools.islice(of_rank(len(source), 0, rank, 2, True), 3 * 4)) for rank in range(2)]
    start = consumed(3, batch_size=4, world_size=2)
    after = [[s["position"] for s in Reader(source, Share(rank, 5, start))] for rank in range(5)]
    assert sorted(itertools.chain(*before, *after)) == list(range(len(source)))


def test_a_state_of_another_feed_is_refused(release: str) -> None:
    """A state fits only the release, mix, sequence length and numbers of ranks and workers that it was made with."""
    state = Reader(Sequences(release, None, LENGTH), Share(0, 2)).state_dict()
    for source, share in (
        (Sequences(release, None, LENGTH + 1), Share(0, 2)),
        (Sequences(release, None, LENGTH), Share(0, 3)),
        (Texts(release), Share(0, 2)),
    ):
        with pytest.raises(UsageError, match="another feed"):
            Reader(source, share).load_state_dict(state)
    with pytest.raises(UsageError, match="this worker has"):
        Reader(Sequences(release, None, LENGTH), Share(0, 2)).load_state_dict({**state, "taken": 10**6})


def test_mistakes_are_named(release: str, tmp_path: Path) -> None:
    """A folder without a release, a misspelt mix, and another tokenizer are errors before reading."""
    with pytest.raises(InputError, match=r"no lineage\.json"):
        Texts(str(tmp_path))
    with pytest.raises(UsageError, match="did you mean"):
        Texts(release, "natral")
    with pytest.raises(UsageError, match="write token files with the model's tokenizer"):
        Sequences(release, None, LENGTH, tokenizer_sha256="0" * 64)
    with pytest.raises(UsageError, match="expected a rank"):
        Share(2, 2)


def test_an_error_while_reading_ahead_is_raised_in_its_place() -> None:
    """Samples before the one that cannot be read are handed out first."""

    def samples() -> Any:
        yield from ({"position": n} for n in range(40))
        raise InputError("broken")

    iterator = read_ahead(samples(), 8)
    assert [next(iterator)["position"] for _ in range(40)] == list(range(40))
    with pytest.raises(InputError, match="broken"):
        next(iterator)


RANK = """
import json, os, sys, time
from pipeline.feed.reader import Reader, Share
from pipeline.feed.sources import Sequences
release, rank, folder, pause = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
reader = Reader(Sequences(release, None, 16), Share(rank, 2, 0, 3), prefetch=32)
checkpoint = os.path.join(folder, f"state-{rank}.json")
if os.path.exists(checkpoint):
    reader.load_state_dict(json.load(open(checkpoint))["state"])
    seen = json.load(open(checkpoint))["seen"]
else:
    seen = []
for sample in reader:
    seen.append(sample["position"])
    with open(checkpoint + ".new", "w") as file:
        json.dump({"state": reader.state_dict(), "seen": seen}, file)
    os.replace(checkpoint + ".new", checkpoint)
    time.sleep(pause)
"""


def test_two_ranks_that_are_killed_and_resumed_read_every_sample_once(release: str, tmp_path: Path) -> None:
    """Processes killed at some step continue from their checkpoints without losing or repeating a sample."""
    command = [sys.executable, "-c", RANK, release]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    n = len(Sequences(release, None, LENGTH))
    files = [tmp_path / f"state-{rank}.json" for rank in range(2)]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path), "0.01"], env=environment) for rank in range(2)
    ]
    deadline = time.monotonic() + 120
    while not all(file.exists() and len(json.loads(file.read_text())["seen"]) > 5 for file in files):
        assert time.monotonic() < deadline and all(rank.poll() is None for rank in ranks)
        time.sleep(0.01)
    for rank in ranks:
        rank.kill()
        rank.wait()
    stopped = [json.loads(file.read_text())["seen"] for file in files]
    assert 10 < sum(map(len, stopped)) < n
    for number in range(2):
        subprocess.run([*command, str(number), str(tmp_path), "0"], env=environment, check=True)
    finished = [json.loads(file.read_text())["seen"] for file in files]
    assert sorted(itertools.chain(*finished)) == list(range(n))
    assert all(after[: len(before)] == before for before, after in zip(stopped, finished, strict=True))


def test_a_step_leads_to_its_documents(release: str, stream: list[list[int]]) -> None:
    """The documents of a sample are those with tokens in it, for sequences, packed sequences and texts."""
    store = open_store(release)
    order = pq.read_table(Path(release, "orders/natural.parquet"))["doc_id"].to_pylist()
    for source in (
        Sequences(release, None, LENGTH),
        PackedSequences(release, None, masks=True),
        Texts(release),
    ):
        for position in (0, len(source) // 2, len(source) - 1):
            rows = locate_samples(store, source, [position])
            assert [row["doc_id"] for row in rows] == [order[n] for n in source.documents(position)]
            assert {row["sample"] for row in rows} == {position}
    middle = len(Sequences(release, None, LENGTH)) // 2
    by_tokens = locate_documents(store, "natural", middle * LENGTH, (middle + 1) * LENGTH)
    rows = locate_samples(store, Sequences(release, None, LENGTH), [middle])
    assert [row["doc_id"] for row in rows] == [row["doc_id"] for row in by_tokens]


def megatron_cache(folder: Path, release: str, length: int, seed: int) -> list[list[tuple[int, int]]]:
    """Write the indices that Megatron caches for a blend of all parts; returns each sample's tokens: (part, document).

    An independent construction: documents and samples are shuffled, and a sample's tokens listed one by one.
    """
    rng = np.random.RandomState(seed)
    samples_of, described = [], []
    for number, path in enumerate(sorted(Path(release, "tokens/natural").glob("*.bin"))):
        lengths = [len(document) for document in read_megatron(path.with_suffix(""))]
        order = rng.permutation(len(lengths)).astype(np.int32)
        owner = [(i, offset) for i, document in enumerate(order) for offset in range(lengths[document])]
        n = (len(owner) - 1) // length
        shuffle = rng.permutation(n).astype(np.uint32)
        description = {
            "class": "GPTDataset",
            "dataset_path": str(path.with_suffix("")),
            "index_split": "train",
        }
        prefix = folder / f"{number:032x}-GPTDataset-train-"
        Path(f"{prefix}description.txt").write_text(json.dumps(description, indent=4))
        np.save(f"{prefix}document_index.npy", order)
        np.save(f"{prefix}sample_index.npy", np.array([owner[i * length] for i in range(n + 1)], np.int32))
        np.save(f"{prefix}shuffle_index.npy", shuffle)
        tokens = [
            owner[i * length : (i + 1) * length + 1] for i in shuffle
        ]  # with the label of the last token
        samples_of.append([[(number, int(order[i])) for i, _ in sample] for sample in tokens])
        described.append(description)
    chosen = [number for number, samples in enumerate(samples_of) for _ in samples]
    blend = rng.permutation(chosen).astype(np.int16)
    taken = [0] * len(samples_of)
    own = []
    for number in blend:
        own.append(taken[number])
        taken[number] += 1
    prefix = folder / f"{'f' * 32}-BlendedDataset-"
    Path(f"{prefix}description.txt").write_text(
        json.dumps({"class": "BlendedDataset", "datasets": described})
    )
    np.save(f"{prefix}dataset_index.npy", blend)
    np.save(f"{prefix}dataset_sample_index.npy", np.array(own, np.int64))
    return [samples_of[number][i] for number, i in zip(blend, own, strict=True)]


def test_a_sample_of_megatron_leads_to_its_documents(release: str, tmp_path: Path) -> None:
    """Through blend, shuffle, sample and document index, every sample has the documents of its tokens."""
    expected = megatron_cache(tmp_path, release, LENGTH, seed=3)
    source = Sequences(release, None, LENGTH)
    index = MegatronIndex(str(tmp_path), source)
    firsts = np.cumsum([0, *(part["documents"] for part in source.page["parts"])])
    for sample, tokens in enumerate(expected):
        rows = list(dict.fromkeys(int(firsts[part]) + document for part, document in tokens))
        assert index.documents(sample) == rows
    with pytest.raises(UsageError, match="blend has"):
        index.documents(len(expected))
    with pytest.raises(UsageError, match="expected one blend"):
        MegatronIndex(release, source)
    run = command(
        "locate", release, "--mix", "natural", "--step", 1, "--batch-size", 2, "--world-size", 2, "--rank", 1,
        "--megatron", tmp_path, "--json",
    ).ok().json  # fmt: skip
    assert list(dict.fromkeys(row["sample"] for row in run)) == [5, 7]


def test_the_command_locates_steps(release: str) -> None:
    """A step counts the samples of all ranks; options that do not go together are refused."""
    arguments = ["--mix", "natural", "--sequence-length", str(LENGTH), "--json"]

    def located(*options: object) -> Any:
        run = CliRunner().invoke(locate, [release, *arguments, *map(str, options)])
        if run.exception:
            raise run.exception
        return json.loads(run.output)

    step = located("--step", 2, "--batch-size", 3, "--world-size", 2)
    assert sorted({row["sample"] for row in step}) == list(range(12, 18))
    at = located("--at", "12:18")
    assert list(dict.fromkeys(row["doc_id"] for row in step)) == [row["doc_id"] for row in at]
    assert [row["first_token"] for row in located("--at", 7, "--samples", "documents")] == [7]
    for wrong in (("--step", 1), ("--at", 1, "--rank", 0), (), ("--at", 1, "--step", 1)):
        with pytest.raises(UsageError):
            located(*wrong)


# PyTorch: what the reader does not cover


def test_nothing_imports_torch_before_it_is_asked_for() -> None:
    """`import bicorpus` and reading without PyTorch load no torch, and bicorpus.Feed names the extra that it needs."""
    code = (
        "import sys, bicorpus, pipeline, pipeline.feed.reader, pipeline.feed.sources, pipeline.inspect.locate\n"
        "assert 'torch' not in sys.modules\n"
        "sys.modules['torch'] = None\n"
        "try: bicorpus.Feed\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "bicorpus[feed]" in run.stdout or "torch" in run.stdout


NEEDS_TORCH = "PyTorch is not installed (the extra `feed`)"


def batches_of(release: str, n_workers: int, loader: Any, **options: Any) -> Any:
    """A loader over the sequences of rank 1 of 2, four in a batch."""
    import bicorpus

    feed = bicorpus.Feed(
        release, sequence_length=LENGTH, batch_size=4, rank=1, world_size=2, prefetch=32, **options
    )
    return loader(feed, batch_size=4, num_workers=n_workers)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_dataloader_gets_the_samples_of_its_rank_in_order(release: str, n_workers: int) -> None:
    """With and without workers, a DataLoader yields the tensors of the rank's samples in training order."""
    torch = pytest.importorskip("torch", reason=NEEDS_TORCH)
    source = Sequences(release, None, LENGTH)
    expected = list(Reader(source, Share(1, 2)))
    batches = list(batches_of(release, n_workers, torch.utils.data.DataLoader))
    assert torch.cat([batch["position"] for batch in batches]).tolist() == [s["position"] for s in expected]
    assert np.array_equal(
        torch.cat([b["input_ids"] for b in batches]), np.stack([s["input_ids"] for s in expected])
    )


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_stateful_dataloader_resumes_after_its_last_batch(release: str, n_workers: int) -> None:
    """Its state, saved and loaded by another loader, continues with the next batch; workers had read ahead."""
    pytest.importorskip("torch", reason=NEEDS_TORCH)
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")
    whole = [b["position"].tolist() for b in batches_of(release, n_workers, stateful.StatefulDataLoader)]
    loader = batches_of(release, n_workers, stateful.StatefulDataLoader)
    read = [batch["position"].tolist() for batch in itertools.islice(loader, 5)]
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = batches_of(release, n_workers, stateful.StatefulDataLoader)
    resumed.load_state_dict(state)
    assert read + [batch["position"].tolist() for batch in resumed] == whole


def test_boundaries_of_a_batch_are_those_of_its_documents(release: str) -> None:
    """cu_seqlens cuts a batch at each change of document and at each sequence, as kernels of attention need it."""
    torch = pytest.importorskip("torch", reason=NEEDS_TORCH)
    from pipeline.feed.dataset import cu_seqlens

    for options in ({"sequence_length": LENGTH}, {"packed": True}):
        import bicorpus

        feed = bicorpus.Feed(release, document_masks=True, **options)
        batch = next(iter(torch.utils.data.DataLoader(feed, batch_size=5)))
        bounds, longest = cu_seqlens(batch["position_ids"])
        documents = batch["documents"] + torch.arange(5)[:, None] * 10**6
        changes = (torch.diff(documents.flatten()) != 0).nonzero().flatten() + 1
        assert bounds.tolist() == [0, *changes.tolist(), documents.numel()]
        assert bounds.dtype == torch.int32 and longest == max(np.diff(bounds.tolist()))
