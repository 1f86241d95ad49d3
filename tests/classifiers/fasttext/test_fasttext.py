"""Scores by fastText models named by path: columns, labels, forms of text, and models that share a pass."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from classifiers.fasttext import STAGE, Config, Scores
from classifiers.fasttext.forms import Form, make_form, space_characters
from pipeline.checking.check_stage import check_stage
from pipeline.errors import ConfigError
from pipeline.recipe import reading_named, step_recipe
from tests.helpers.fasttext_model import model_bytes

TEXTS = ["hello the world\nhello", "的 数据 的", "今天天气很好。", "", None]
BIGRAMS: dict[str, Any] = {"loss": 3, "minn": 0, "maxn": 0, "word_ngrams": 2}  # Any: arguments of model_bytes


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    """Models by name: two of one tokenisation, one of a tree of labels, one of characters."""
    forms = {
        "dclm": {**BIGRAMS, "labels": ["cc", "hq"]},
        "other": {**BIGRAMS, "labels": ["0", "1"], "seed": 2, "words": ["</s>", "hello", "的"]},
        "tree": {**BIGRAMS, "loss": 1, "seed": 3},
        "grams": {"loss": 3, "minn": 2, "maxn": 3, "labels": ["neg", "pos"], "seed": 4},
    }
    for name, form in forms.items():
        (tmp_path / f"{name}.bin").write_bytes(model_bytes(**form))
    return {name: str(tmp_path / f"{name}.bin") for name in forms}


def annotate(config: Config, texts: list[str | None] = TEXTS) -> pa.Table:
    """Rows of the stage, with the schema that it declares for this config."""
    result = STAGE.load(config)(pa.table({"text": pa.array(texts, pa.large_string())}))
    assert result.schema.equals(reading_named(STAGE, config).writes)
    return result


def test_a_column_for_each_model(paths: dict[str, str]) -> None:
    """Each model has its column, alone or with others; the label is known, or named."""
    config = Config(models=paths, labels={"tree": "c"})
    table = annotate(config)
    assert table.column_names == ["n_words", *paths]
    assert table["n_words"].to_pylist() == [4, 3, 1, 0, None]
    for name, path in paths.items():
        alone = annotate(Config(models={name: path}, labels={"tree": "c"} if name == "tree" else {}))
        assert alone[name].equals(table[name])
        assert table[name].to_pylist()[4] is None
    negative = annotate(Config(models={"dclm": paths["dclm"]}, labels={"dclm": "__label__cc"}))["dclm"]
    both = np.array(negative.to_pylist()[:3]) + np.array(table["dclm"].to_pylist()[:3])
    np.testing.assert_allclose(both, 1.00002, atol=2e-5)  # the library adds 1e-5 to each


def test_models_that_hash_alike_are_one_group(paths: dict[str, str]) -> None:
    """Two models of one tokenisation share their pass; the tree of labels is evaluated apart."""
    (one,) = Scores(Config(models=paths, labels={"tree": "c"})).passes
    assert [group.members for group in one.groups] == [(0, 1), (2,)]
    assert list(one.whole) == ["tree"]


def test_recipes_depend_on_names_and_bytes(paths: dict[str, str], tmp_path: Path) -> None:
    """A moved model has the recipe that it had; another name or other bytes have another."""
    moved = tmp_path / "moved.bin"
    moved.write_bytes(Path(paths["dclm"]).read_bytes())
    first = step_recipe(STAGE, Config(models={"a": paths["dclm"]}), ())
    assert first == step_recipe(STAGE, Config(models={"a": str(moved)}), ())
    assert first != step_recipe(STAGE, Config(models={"b": paths["dclm"]}), ())
    assert first != step_recipe(STAGE, Config(models={"a": paths["other"]}), ())


def test_the_contract_holds_with_models(paths: dict[str, str]) -> None:
    """All checks of a stage pass with models, and a pickled copy loads them again."""
    config = Config(models={"dclm": paths["dclm"], "grams": paths["grams"]}, text={"dclm": "dclm"})
    failed = [check.line() for check in check_stage(STAGE, None, config) if not check.ok]
    assert not failed
    table = pa.table({"text": pa.array(TEXTS, pa.large_string())})
    scores = STAGE.load(config)
    assert pickle.loads(pickle.dumps(scores))(table).equals(scores(table))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": {"dcml": "hq"}}, "no model 'dcml'; did you mean"),
        ({"text": {"dclm": "jiebe"}}, "jieba"),
        ({"text": {"dclm": "plain"}, "tokenizers": {"dclm": "x.json"}}, "uses no tokenizer"),
        ({"text": {"dclm": "ultra_fineweb"}}, "needs the tokenizer"),
        ({"labels": {"dclm": "good"}}, "has cc, hq"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_named(
    paths: dict[str, str], settings: dict[str, Any], message: str
) -> None:
    """Unknown models, forms and labels are errors that state what was expected."""
    with pytest.raises(ConfigError, match=message):
        Scores(Config(models={"dclm": paths["dclm"]}, **settings))
    with pytest.raises(ConfigError, match="name the one whose"):
        Scores(Config(models={"tree": paths["tree"]}))
    with pytest.raises(ConfigError, match="no name of a column"):
        Config(models={"n_words": paths["tree"]})


def prepared(form: Form, texts: list[str | None]) -> list[str | None]:
    """Texts in a form."""
    return make_form(form)(pa.chunked_array([pa.array(texts, pa.large_string())])).to_pylist()


def test_dclm_joins_lines_as_python_splits_them() -> None:
    """Blanks around the text are removed, and lines end also where fastText sees no blank."""
    assert prepared(Form("dclm"), ["　a\u2028b\x85c\r\nd ", None]) == ["a b c d", None]


def test_characters_are_spaced() -> None:
    """Characters without word boundaries get blanks, all other text keeps its bytes."""
    texts = ["ab今天c", "", "カナ, naïve 😀", "한국어"]
    spaced = space_characters(pa.array(texts)).to_pylist()
    assert [text.split() for text in spaced] == [
        ["ab", "今", "天", "c"], [], ["カ", "ナ", ",", "naïve", "😀"], ["한국어"],
    ]  # fmt: skip
    assert ["".join(text.split(" ")) for text in spaced] == [text.replace(" ", "") for text in texts]


def test_jieba_form_removes_what_is_listed(tmp_path: Path) -> None:
    """Words of jieba, without stop words and listed strings."""
    pytest.importorskip("jieba")
    (tmp_path / "stop.txt").write_text("的\n", encoding="utf-8")
    (tmp_path / "removed.txt").write_text("天气 很\n", encoding="utf-8")
    form = Form("jieba", None, str(tmp_path / "stop.txt"), str(tmp_path / "removed.txt"))
    assert prepared(form, ["今天的天气\t很\n好"]) == ["今天 好"]


def test_ultra_fineweb_form_is_tokens_on_one_line(tmp_path: Path) -> None:
    """Small letters without diacritics, token by token, with line ends written out."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    form = Form("ultra_fineweb", str(tmp_path / "tokenizer.json"))
    assert prepared(form, ["É\n\n\n\nb\tc"]) == ["e \\n \\n b \\t c"]
