"""English verdicts beside datatrove's on the bundled sample, every disagreement with its class, and derived numbers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.rules.parse import parse_rules
from stages.languages import presets
from tests.helpers.moving import needs_words
from tests.helpers.paths import ROOT

N_DOCUMENTS = 40


def run(module: str, *arguments: str) -> str:
    """What a script prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], check=True, text=True, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.stdout


@cache
def sample(name: str) -> list[str]:
    """Texts of one of the sample's files; some of its lines are broken on purpose."""
    raw = (ROOT / "sample" / name).read_bytes()
    lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw)).read().split(b"\n")
    texts = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            texts.append(json.loads(line)["text"])
    return [text for text in texts if isinstance(text, str) and text.strip()]


@needs_words
def test_english_verdicts_are_datatroves_or_explained() -> None:
    """The ladder begins with what the filters say, most verdicts agree, and no disagreement is without a class."""
    from scripts.bench import parity

    texts = sample("docs_en-00.jsonl.zst")[:N_DOCUMENTS]
    found, direct = parity.compare(texts), parity.filter_verdicts(texts)
    gopher = [name for name in found.ours if name not in parity.FINEWEB_OWN]
    for name, rules in (("gopher", gopher), ("fineweb", list(parity.FINEWEB_OWN))):
        theirs, ours = found.overall(rules)
        assert theirs.tolist() == direct[name].tolist()
        assert (theirs == ours).mean() >= 0.85
        assert set(ours) == {True, False}
    for rule, theirs in found.theirs.items():
        assert found.classes[rule].total() == (theirs != found.ours[rule]).sum(), rule


@needs_words
def test_a_disagreement_is_of_the_step_at_which_the_verdict_turned() -> None:
    """Marks that are words to datatrove alone make the class of the rule on words with a letter."""
    from scripts.bench import parity

    text = "The name (of it) is: a, b, c - and 'to' have; \"with\" that! " * 20
    found = parity.compare([text])
    assert found.theirs["duplicate_5_grams"][0] and found.ours["duplicate_5_grams"][0]
    assert not found.classes["duplicate_5_grams"]
    (rule,) = [r for r in parse_rules(list(presets()["gopher"]), "gopher") if r.name == "too_short"]
    steps = parity.ladders()["too_short"]
    words = parity.Text("don't " * 30)
    assert len(words.theirs) > len(words.ours) == 30
    assert parity.classify(rule, steps, words, 30) == (False, True, parity.WORDS)


@needs_words
@pytest.mark.parametrize("rule", ["too_short (FineWeb-2)", "duplicate_10_grams (FineWeb-2)"])
def test_derived_bounds_drop_the_published_share(rule: str, tmp_path: Path) -> None:
    """The script gives each rule a bound whose share of dropped documents is within a point of the published one."""
    rows = derived(tmp_path)
    theirs, ours = (float(rows[rule][i].rstrip("%")) for i in (3, 6))
    assert abs(theirs - ours) <= 1 + 100 / N_DOCUMENTS
    assert len(rows) == 17


@cache
def derived(folder: Path) -> dict[str, list[str]]:
    """Rows of the derivation by rule."""
    pieces = (
        "院子里的树",
        "井边的石头",
        "桥头的老人",
        "河上的小船",
        "山后的人家",
        "城里的图书馆",
        "门口的灯",
    )
    texts = [
        "".join(
            f"{pieces[(i * k) % 7]}在{pieces[(i + k) % 7]}旁边已经有{k + 3}年了。"
            for k in range(1, 2 + i % 9)
        )
        for i in range(N_DOCUMENTS)
    ]
    pq.write_table(pa.table({"text": texts}), folder / "docs.parquet")
    printed = run(
        "scripts.maintenance.derive_zh", str(folder / "docs.parquet"), "--documents", str(N_DOCUMENTS)
    )
    rows = [line.split("|") for line in printed.splitlines() if line.startswith("| ")][1:]
    return {row[1].strip(): [cell.strip() for cell in row] for row in rows}
