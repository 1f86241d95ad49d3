"""Corpora of an ablation: drawn evenly, without what is measured, with planted skills, as many tokens as asked for."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from tokenizers import Tokenizer

from pipeline.ablation.config import load_ablation
from pipeline.ablation.corpora import DOCUMENT_BYTES, cut, draw, is_chinese
from pipeline.ablation.run import Harness
from pipeline.errors import ConfigError, InputError, UsageError
from pipeline.runtime.progress import Progress
from tests.helpers.paths import ROOT

LINE = "这一行是用来评测的文字，训练语料里不应当再出现，否则比较的就是记忆而不是学习的效果，所以这样的文档会被去掉。"


def write(folder: Path, **changes: object) -> str:
    """Write an ablation of two corpora of sentences; returns its path."""
    draw = np.random.default_rng(1)
    words = "the river house walks green quickly over under seven bridges and morning light".split()
    for name in ("a", "b", "measured"):
        rows = [{"text": f"{name} " + " ".join(draw.choice(words, 60)) + f" {i}."} for i in range(400)]
        if name == "a":
            rows += [{"text": f"开头。\n{LINE}\n{i}"} for i in range(20)]
        if name == "measured":
            rows = [{"text": f"{LINE}\n{row['text']}"} for row in rows[:20]]
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, "utf-8")
    page = {
        "corpora": {"one": {"files": "a.jsonl"}, "two": {"files": ["b.jsonl"], "plant": {"addition": 0.1}}},
        "evaluate": {"zh": {"files": ["measured.jsonl"], "bytes": 4000}},
        "skills": ["addition"], "n_tasks": 10, "vocabulary": 400, "seeds": [1, 2],
        "train": {"tokens": 6000, "batch": 2}, "sizes": {"s": {"width": 16, "layers": 1, "heads": 1, "context": 16}},
    }  # fmt: skip
    path = folder / "ablation.yaml"
    path.write_text(yaml.safe_dump(page | changes), "utf-8")
    return str(path)


def harness(folder: Path, **changes: object) -> Harness:
    """The harness of such an ablation."""
    return Harness(load_ablation(write(folder, **changes)), str(folder / "runs"), Progress(quiet=True))


def test_prepared_tokens(tmp_path: Path) -> None:
    """Equal numbers, no measured line, the planted share; a second call changes nothing."""
    prepared = harness(tmp_path).prepare()
    tokenizer = Tokenizer.from_file(str(tmp_path / "runs" / "tokenizer.json"))
    one, two = (np.load(tmp_path / "runs" / f"{name}-1.npy") for name in ("one", "two"))
    assert len(one) == len(two) == 6000 + 16 + 1 and one.dtype == np.uint16
    facts = prepared.corpora
    assert 0 < facts["one"]["left_out_as_measured"] <= 20 and facts["one"]["corpus_documents"] == 420
    assert 0.09 < facts["two"]["planted_tokens"] / len(two) < 0.11 and facts["one"]["planted_tokens"] == 0
    texts = tokenizer.decode(two.tolist(), skip_special_tokens=False).split("<|end|>")
    assert sum("plus" in text or "加" in text for text in texts) > 5
    assert all(text.startswith("b ") for text in texts[:-1] if "plus" not in text and "加" not in text)
    stamp = (tmp_path / "runs" / "one-1.npy").stat().st_mtime_ns
    again = harness(tmp_path).prepare()
    assert again.corpora == facts and (tmp_path / "runs" / "one-1.npy").stat().st_mtime_ns == stamp
    (texts_of_zh, n_bytes) = prepared.texts["zh bits per byte"]
    assert 4000 <= sum(n_bytes) < 4800 and len(texts_of_zh) == len(n_bytes)


def test_each_seed_has_documents_of_its_own(tmp_path: Path) -> None:
    """So that the interval over seeds covers which documents were drawn; a planted share is the same in each."""
    harness(tmp_path).prepare()
    first, second = (np.load(tmp_path / "runs" / f"one-{seed}.npy") for seed in (1, 2))
    assert len(first) == len(second) and not np.array_equal(first, second)


def test_a_draw_has_the_ratio_of_scripts_of_the_corpus() -> None:
    """Also any beginning of it, though documents differ in length by a factor of a thousand; repeats stay together."""
    random = np.random.default_rng(5)
    lengths = np.clip(random.lognormal(6, 2, 3000), 20, 60_000).astype(int)
    texts = [
        ("天地玄黄" if i % 3 == 0 else "word ") * (n // 4) + str(i) for i, n in enumerate(lengths.tolist())
    ]
    texts += texts[:50]
    sizes = {
        kind: sum(len(cut(t).encode()) for t in texts if is_chinese(t) == kind) for kind in (True, False)
    }
    share = sizes[True] / sum(sizes.values())
    for drawn in draw(lambda: texts, 600_000, frozenset(), [1, 2, 3]):
        assert 600_000 <= sum(len(t.encode()) for t in drawn.texts) < 650_000
        for n in (150_000, 300_000, 600_000):
            ends = np.cumsum([len(t.encode()) for t in drawn.texts])
            beginning = drawn.texts[: int(np.searchsorted(ends, n)) + 1]
            chinese = sum(len(t.encode()) for t in beginning if is_chinese(t))
            assert abs(chinese / sum(len(t.encode()) for t in beginning) - share) < 0.06
        assert max(len(t.encode()) for t in drawn.texts) <= DOCUMENT_BYTES
        counts = {t: drawn.texts.count(t) for t in drawn.texts}
        assert all(counts[t] == 2 for t in texts[:50] if t in counts)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_corpora_of_any_ratio_are_drawn_with_one_share(share: float) -> None:
    """A corpus of nine tenths Chinese and one of a tenth: the bytes drawn have the asked share, as do beginnings."""
    random = np.random.default_rng(6)
    for common in (1, 9):
        lengths = np.clip(random.lognormal(6, 1, 6000), 20, 20_000).astype(int).tolist()
        texts = [
            ("天地玄黄" if i % 10 < common else "word ") * (n // 4) + str(i) for i, n in enumerate(lengths)
        ]
        (drawn,) = draw(functools.partial(list, texts), 200_000, frozenset(), [4], share)
        for beginning in (drawn.texts, drawn.texts[: len(drawn.texts) // 2]):
            sizes = [(is_chinese(t), len(t.encode())) for t in beginning]
            found = sum(n for chinese, n in sizes if chinese) / sum(n for _, n in sizes)
            assert abs(found - share) < 0.03


@pytest.mark.parametrize(
    ("n_chinese", "n_english", "error"),
    [
        (0, 30, r"[\d,]+ tokens, 6,017 are needed"),
        (12, 900, r"only \d+% of the bytes could be; it has too few"),
    ],
)
def test_a_share_that_a_corpus_cannot_give_is_an_error(
    tmp_path: Path, n_chinese: int, n_english: int, error: str
) -> None:
    """A corpus without Chinese documents, and one with too few of them beside enough English ones."""
    numbers = range(n_chinese + n_english)
    rows = [
        {"text": f"天地玄黄宇宙洪荒{i}" * 4 if i < n_chinese else f"the river {i * i} house " * 9}
        for i in numbers
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    corpora = {"c": {"files": "c.jsonl"}, "again": {"files": "c.jsonl"}}
    with pytest.raises(InputError, match=rf"corpora.\w+ at 30% Chinese: {error}"):
        harness(tmp_path, corpora=corpora, chinese_share=0.3).prepare()


def test_a_folder_belongs_to_one_ablation(tmp_path: Path) -> None:
    """With other settings it is refused."""
    harness(tmp_path).prepare()
    with pytest.raises(UsageError, match="other settings"):
        harness(tmp_path, vocabulary=500).prepare()


def test_too_few_tokens_are_an_error(tmp_path: Path) -> None:
    """With how many there are; more epochs need fewer."""
    with pytest.raises(InputError, match=r"corpora.one: [\d,]+ tokens, 1,000,017 are needed"):
        harness(tmp_path, train={"tokens": 1_000_000}).prepare()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"corpora": {"one": {"files": ["a.jsonl"]}}}, "two or more"),
        ({"corpora": {"one": {}, "two": {"files": ["b.jsonl"]}}}, "corpora.one: expected either release"),
        ({"chinese_share": 1.5}, "chinese_share is 1.5; expected a share"),
        ({"baseline": "on"}, "baseline 'on'"),
        ({"skills": ["additon"]}, "did you mean 'addition'|addition"),
        ({"seeds": [1, 1]}, "two or more different"),
        ({"sizes": {"s": {"widht": 3}}}, "widht"),
        ({"trian": {}}, "trian"),
        ({"corpora": {"one": {"files": ["a.jsonl"], "plant": {"order": 2}}, "two": {}}}, "plant.order is 2"),
    ],
)  # fmt: skip
def test_wrong_settings(tmp_path: Path, changes: dict[str, object], error: str) -> None:
    """One error that names the setting."""
    with pytest.raises(ConfigError, match=error):
        harness(tmp_path, **changes)


def test_the_file_in_the_docs_is_valid(tmp_path: Path) -> None:
    """The page shows an ablation that can be read."""
    (block,) = re.findall(
        r"```yaml\n(corpora:.*?)```", (ROOT / "docs" / "ablate.md").read_text("utf-8"), re.DOTALL
    )
    path = tmp_path / "ablation.yaml"
    path.write_text(block, "utf-8")
    ablation = load_ablation(str(path))
    assert ablation.base == "raw" and Harness(ablation, str(tmp_path), Progress(quiet=True)).n_unique > 0
