"""datatrove's filters as a stage of ours, alone and in a whole run. Most tests need the extra `datatrove`."""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from stages import datatrove
from tests.helpers.build import build, cli, tiny, write_run
from tests.helpers.moving import EN, TEXTS, ZH, docs, needs_datatrove, needs_words
from tests.helpers.strategies import table_of

pytest_plugins = ("tests.helpers.own_filters",)

FILTERS = f"{datatrove.FILTERS}."
PARITY: dict[str, tuple[dict[str, Any], ...]] = {  # Any: arguments of filters
    "GopherRepetitionFilter": ({}, {"language": "cmn_Hani", "dup_line_frac": None}),
    "GopherQualityFilter": (
        {"min_doc_words": 20},
        {
            "language": "cmn_Hani",
            "min_doc_words": 10,
            "min_avg_word_length": 1,
            "min_stop_words": 1,
            "stop_words": ["的", "了"],
        },
    ),
    "FineWebQualityFilter": ({}, {"language": "cmn_Hani", "short_line_length": 10}),
}


def judge(name: str, texts: tuple[str | None, ...] = TEXTS, **arguments: Any) -> list[dict[str, Any]]:
    """The verdicts of a filter on texts, through the stage."""
    config = datatrove.Config(filter=name, arguments=arguments)
    return datatrove.STAGE.load(config)(table_of(list(texts)).select(["text", "url"])).to_pylist()


@needs_words
@pytest.mark.parametrize("name", PARITY)
def test_verdicts_are_those_of_the_filter(name: str) -> None:
    """Called directly or through the stage, a filter keeps the same documents and gives the same reasons."""
    filters = importlib.import_module(datatrove.FILTERS)
    seen = set()
    for arguments in PARITY[name]:
        direct = []
        for document in docs():
            answer = getattr(filters, name)(**arguments).filter(document)
            keep, reason = answer if isinstance(answer, tuple) else (answer, None)
            direct.append({"keep": keep, "reason": None if keep else reason, "edited": False})
        assert judge(FILTERS + name, **arguments) == direct
        seen |= {row["keep"] for row in direct}
    assert seen == {True, False}


@needs_datatrove
def test_the_default_finds_placeholder_text() -> None:
    """Without settings one rule that is valid in any language runs; a plain refusal has no reason."""
    rows = datatrove.STAGE.load(datatrove.Config())(table_of(list(TEXTS)).select(["text", "url"])).to_pylist()
    dropped = {"keep": False, "reason": None, "edited": False}
    kept = {"keep": True, "reason": None, "edited": False}
    assert rows == [dropped if "Lorem" in text else kept for text in TEXTS]


@needs_words
def test_an_edit_is_a_fact_and_no_more() -> None:
    """A filter that removes lines of its document sets `edited`; the text of the batch is unchanged."""
    text = "This first line ends as a sentence does.\nThis second line does not end at all\n" * 6
    table = table_of([text, None]).select(["text", "url"])
    config = datatrove.Config(filter=FILTERS + "C4QualityFilter", arguments={"min_num_sentences": 2})
    assert datatrove.STAGE.load(config)(table).to_pylist() == [
        {"keep": True, "reason": None, "edited": True},
        {"keep": None, "reason": None, "edited": None},
    ]
    assert table["text"].to_pylist() == [text, None]


@needs_datatrove
def test_filters_of_other_modules_see_urls_in_batches(own: str) -> None:
    """Any filter class runs in batches of its own size, with its documents' urls; kept documents have no reason."""
    table = pa.table({"text": ["a", None, "b", "c", "d"], "url": [f"https://h{i}.cn/" for i in range(5)]})
    annotate = datatrove.STAGE.load(datatrove.Config(filter=f"{own}.ByHost", arguments={"hosts": ["h2.cn"]}))
    found = [(row["keep"], row["reason"]) for row in annotate(table).to_pylist()]
    assert found == [(True, None), (None, None), (False, "host"), (True, None), (True, None)]
    assert importlib.import_module(own).SIZES == [2, 2]
    assert pickle.loads(pickle.dumps(annotate))(table).equals(annotate(table))


@needs_datatrove
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("datatrove.pipeline.filters.NoFilter", {}, "is not a filter class"),
        ("datatrove.pipeline.readers.JsonlReader", {}, "is not a filter class"),
        ("no_such_module.Filter", {}, "cannot be imported: No module named 'no_such_module'"),
        ("datatrove.pipeline.filters.RegexFilter", {"regexp": "a"}, "unexpected keyword argument 'regexp'"),
        ("datatrove.pipeline.filters.RegexFilter", {"regex_exp": "("}, "datatrove.arguments: .*RegexFilter"),
        ("datatrove.pipeline.filters.RegexFilter", {}, "missing 1 required positional argument"),
        ("own_filters.ByHost", {}, "missing 1 required positional argument: 'hosts'"),
    ],
)
def test_a_filter_that_cannot_be_made_stops(
    own: str, name: str, arguments: dict[str, Any], message: str
) -> None:
    """Loading names the filter or the argument at fault, before any text is read."""
    with pytest.raises(ConfigError, match=message):
        datatrove.STAGE.load(datatrove.Config(filter=name, arguments=arguments))


@needs_datatrove
def test_a_package_missed_at_the_first_text_stops(own: str) -> None:
    """A filter that imports late raises a ConfigError with the install command, not one failure per document."""
    with pytest.raises(ConfigError, match=r"no_such_package.*pip install 'bicorpus\[datatrove\]'"):
        judge(f"{own}.Unready")


ARTICLE = {
    "en": "".join(EN.replace("lighthouse", word) for word in ("tower", "mill", "barn", "inn", "church")),
    "zh": "".join(ZH.replace("图书馆", word) for word in ("博物馆", "游泳馆", "美术馆", "体育馆", "档案馆")),
}
GOPHER = "datatrove.pipeline.filters.GopherQualityFilter"


@needs_words
def test_a_run_drops_what_filters_refuse_and_explains_it(tmp_path: Path) -> None:
    """Filters as gated steps, one a language: rules on `keep` decide, `explain` shows the verdict and the reason."""
    rows = [
        {"id": "en-good", "text": ARTICLE["en"]},
        {"id": "en-short", "text": EN},
        {"id": "zh-good", "text": ARTICLE["zh"]},
        {"id": "zh-symbols", "text": (ZH[:8] + "#" * 8) * 20},
    ]
    chinese = {
        "language": "cmn_Hani",
        "min_avg_word_length": 1,
        "max_avg_word_length": 5,
        "stop_words": ["的", "了"],
    }
    page = tiny(
        tmp_path,
        rows,
        annotate=[
            "classifiers.language",
            {
                "use": "stages.datatrove", "as": "gopher_en", "gate": {"language.label": "eng_Latn"},
                "config": {"filter": GOPHER, "arguments": {"min_doc_words": 50, "language": "eng"}},
            },
            {
                "use": "stages.datatrove", "as": "gopher_zh", "gate": {"language.label": {"in": ["zho_Hans"]}},
                "config": {"filter": GOPHER, "arguments": chinese | {"min_stop_words": 1, "min_doc_words": 50}},
            },
        ],
        select=[
            {"name": "gopher_en", "gopher_en.keep": True, "if_null": "keep"},
            {"name": "gopher_zh", "gopher_zh.keep": True, "if_null": "keep"},
        ],
    )  # fmt: skip
    run_path, store = write_run(tmp_path, page), tmp_path / "store"
    assert build(run_path, store)["kept"] == 2
    wanted = {
        "en-good": (None, True, None, None), "en-short": ("gopher_en", False, "gopher_short_doc", None),
        "zh-good": (None, None, None, None), "zh-symbols": ("gopher_zh", None, None, "gopher_too_many_hashes"),
    }  # fmt: skip
    for row, (rule, keep_en, reason_en, reason_zh) in enumerate(wanted.values()):
        place = ("explain", run_path, "--store", store, "--input", f"docs.jsonl:{row}")
        found = cli(*place, "--json").ok().json
        assert found["rule"] == rule
        values = found["annotations"]
        assert (values["gopher_en.keep"], values["gopher_en.reason"]) == (keep_en, reason_en)
        assert values["gopher_zh.reason"] == reason_zh
        shown = cli(*place, "--all").ok().out
        assert (f"dropped by {rule}" if rule else "kept") in shown.splitlines()[0]
        assert repr(reason_en or reason_zh) in shown
    assert build(run_path, store)["tasks"]["annotate"] == 0


def test_without_datatrove_loading_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage can be imported and configured anywhere; loading it without the extra names the install command."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "datatrove"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "datatrove", None)
    with pytest.raises(ConfigError, match=r"pip install 'bicorpus\[datatrove\]'"):
        datatrove.STAGE.load(datatrove.Config())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filter": "GopherQualityFilter"}, "expected the import path of a class"),
        ({"filter": "os;x.y"}, "expected the import path of a class"),
        ({"arguments": ["a"]}, "expected a mapping"),
        ({"arguments": {"f": print}}, "has no canonical form"),
        ({"arguments": {"a": [1, {"b": float("nan")}]}}, "datatrove.arguments"),
    ],
)
def test_settings_are_plain_data(settings: dict[str, Any], message: str) -> None:
    """What cannot enter a recipe, or names no class, is refused with the setting at fault."""
    with pytest.raises(ConfigError, match=message):
        datatrove.Config(**settings)
