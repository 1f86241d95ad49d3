"""Run files with one random edit: each loads, or is refused in one line that says where."""

from __future__ import annotations

import copy
import datetime
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # values of parsed YAML

import pytest
import yaml

from pipeline.config.load import load_run
from pipeline.errors import ConfigError
from pipeline.scaffold.draft import write_draft
from tests.helpers.paths import ROOT

N_EDITS = 80
MAX_CHARS = 600
VALUES: list[Any] = [
    None, True, 0, -1, 7, 1.5, float("nan"), float("inf"), 10**30, "", "x", "a.b", "all", "release", "stages.minhash",
    [], {}, ["x"], [0], [None], [["x"]], [{}], {"x": 1}, {"x": {"y": "z"}}, {"a.b": {"min": 1}}, {1: 2}, {None: 1},
    datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), b"\xff", {"s"},
]  # fmt: skip


def spots(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with each of its keys or positions."""
    for key, value in (
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    ):
        yield node, key
        yield from spots(value)


def misspelt(rng: random.Random, value: Any) -> str:
    """The text of a value with one slip."""
    text = str(value) or "x"
    i = rng.randrange(len(text))
    slips = (text[:i] + text[i + 1 :], text[:i] + text[i] + text[i:], text.upper(), text.replace("_", "-"))
    return rng.choice(slips)


def edited(document: Any, rng: random.Random) -> Any:
    """A copy with one key or value deleted, repeated, replaced, nested or misspelt."""
    document = copy.deepcopy(document)
    node, key = rng.choice(list(spots(document)))
    edit = rng.choice(("delete", "repeat", "retype", "retype", "nest", "rename", "misspell"))
    if edit == "delete":
        del node[key]
    elif edit == "repeat" and isinstance(node, list):
        node.insert(key, copy.deepcopy(node[key]))
    elif edit == "nest":
        node[key] = rng.choice([[node[key]], {"x": node[key]}, {str(key): node[key]}])
    elif edit == "rename" and isinstance(node, dict):
        new = rng.choice([misspelt(rng, key), misspelt(rng, key), 7, None, True])
        items = [(new if name == key else name, value) for name, value in node.items()]
        node.clear()
        node.update(items)
    elif edit == "misspell" and isinstance(node[key], (str, int, float)):
        node[key] = misspelt(rng, node[key])
    else:
        node[key] = copy.deepcopy(rng.choice(VALUES))
    return document


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `init` writes for some of the sample."""
    path = tmp_path_factory.mktemp("init") / "run.yaml"
    write_draft(
        [str(ROOT / "sample" / name) for name in ("docs_zh-00.jsonl.gz", "books_zh.parquet", "notes")],
        str(path),
    )
    return path


@pytest.mark.parametrize("name", ["configs/quickstart.yaml", "configs/cci4.yaml", "init"])
def test_an_edited_run_file_loads_or_is_refused_in_one_line(name: str, drafted: Path, tmp_path: Path) -> None:
    """No edit ends in a traceback; each message is one line that begins with the path of the run file."""
    source = drafted if name == "init" else ROOT / name
    document, rng = yaml.safe_load(source.read_text("utf-8")), random.Random(name)
    path = tmp_path / "edited.yaml"
    (tmp_path.parent / "sample").symlink_to(ROOT / "sample") if not (
        tmp_path.parent / "sample"
    ).exists() else None
    n_refused = 0
    for _ in range(N_EDITS):
        text = yaml.safe_dump(edited(document, rng), sort_keys=False, allow_unicode=True)
        path.write_text(text, "utf-8")
        try:
            load_run(path)
        except ConfigError as error:
            n_refused += 1
            message = str(error)
            assert message.startswith(str(path)), f"{message}\n{text}"
            assert "\n" not in message and len(message) < MAX_CHARS + len(str(path)), message
    assert n_refused > N_EDITS // 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corpus: [", "line 1, column 10: "),
        ("corpus: a\ncorpus: b\n", "line 2, column 1: key 'corpus' appears twice"),
        ("? [a, b]\n: 1\n", "line 1, column 3: a key is"),
        ("corpus: &a [*a]\n", "nested more than 32 levels"),
        ("corpus: 2024-01-01\n", "corpus is a date ('2024-01-01'); put it in quotes"),
        ("corpus: 2024-13-45\n", "not valid YAML"),
        (
            "mix: {mixes: {no: {}}}\n",
            "mix.mixes: the key False is a truth value; expected text: put it in quotes",
        ),
        ("release: {seed: .nan}\n", "release.seed is nan; expected a finite number"),
        ("ingest: {shard_bytes: 1" + "0" * 30 + "}\n", "expected a number of at most 64 bits"),
        ("corpus: c\x00\n", "not valid YAML"),
        ("Sources: []\n", "unknown key 'Sources'; did you mean 'sources'"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_position(text: str, message: str, tmp_path: Path) -> None:
    """Faults of YAML, and values that are no text, numbers, booleans, lists or mappings."""
    path = tmp_path / "run.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_run(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    """Modules, columns, steps and settings: the message names the one that was meant."""
    base = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text("utf-8"))
    path = tmp_path / "run.yaml"
    (tmp_path.parent / "sample").symlink_to(ROOT / "sample") if not (
        tmp_path.parent / "sample"
    ).exists() else None
    rule = {"name": "short", "signals.n_char": {"min": 1}}
    for change, message in (
        ({"annotate": ["stages.singals"]}, "no module 'stages.singals'; did you mean 'stages.signals'"),
        ({"annotate": ["signalz"]}, "no module 'signalz'; did you mean 'signals'"),
        ({"annotate": [{"use": "Stages/Signals"}]}, "is no module; expected a dotted name"),
        ({"select": [rule]}, "no column 'signals.n_char'; did you mean 'signals.n_chars'"),
        ({"select": [{"name": "x", "n_chars": {"min": 1}}]}, "unknown key 'n_chars'"),
        (
            {"select": [{"name": "x", "caps.rank_in_host": {"min": 1}}]},
            "no step 'caps' under `annotate` or `global`",
        ),
        (
            {"annotate": [{"use": "stages.minhash", "config": {"n_bands": "many"}}]},
            "n_bands is 'many'; expected a whole number",
        ),
        (
            {"annotate": [{"use": "stages.minhash", "config": ["n_bands"]}]},
            "config is ['n_bands']; expected a mapping",
        ),
    ):
        path.write_text(yaml.safe_dump({**base, **change}), "utf-8")
        with pytest.raises(ConfigError) as caught:
            load_run(path)
        assert message in str(caught.value)
