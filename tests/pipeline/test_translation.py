"""Messages in the language of the reader: which language, which message, and that the catalogue is complete."""

from __future__ import annotations

import re

import pytest

from pipeline.errors import ConfigError
from pipeline.translation import (
    FIELD,
    Catalogue,
    catalogue_path,
    chosen_language,
    fields_of,
    fill,
    in_language,
    labels,
    read_po,
    t,
)
from scripts.maintenance.messages import collect, faults, rendered

PO = catalogue_path("zh").read_text("utf-8")
ENTRIES = read_po(PO)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The Chinese catalogue."""
    return Catalogue(ENTRIES)


def test_every_message_is_translated() -> None:
    """Each message of the code has a translation with the same fields, and the catalogue has no other."""
    found = collect()
    assert faults(found, ENTRIES) == []
    assert rendered(found, ENTRIES) == PO
    assert len(found) > 1000


def test_translations_are_chinese() -> None:
    """A translation of a sentence has Chinese characters, and no ASCII mark between two of them."""
    sentences = {
        m: text for m, text in ENTRIES.items() if len(re.findall(r"[a-z]+ [a-z]+", FIELD.sub("", m))) > 1
    }
    commands = re.compile(r"[A-Za-z_./\d\[\]{}'\"`=:@-]+")
    assert [text for text in sentences.values() if not re.search("[一-鿿]", commands.sub("", text))] == []
    assert [text for text in ENTRIES.values() if re.search("[一-鿿][,;?] ?[一-鿿]", text)] == []


def sample_values(template: str) -> dict[str, str]:
    """Values for the fields of a template, as its formats print them."""
    values: dict[str, str] = {}
    last = -1
    for match in FIELD.finditer(template):
        if not match[1]:
            continue
        form = match[3] or ""
        value = (
            "12.5%" if form.endswith("%") else "1,234" if re.search("[,df]$", form) else f"v{len(values)}.x"
        )
        value = repr(value) if match[2] else value
        if match.start() == last and not match[2] and not form:
            value = "; v"  # a remark after a value, such as what else it might have been
        last = match.end()
        values.setdefault(match[1], value)
    return values


def test_every_message_is_recognised(catalogue: Catalogue) -> None:
    """A message with its fields filled in is translated by its own template, with the values in their places."""
    wrong = []
    for template, translation in ENTRIES.items():
        values = sample_values(template)
        found = catalogue.translate(fill(template, values))
        if found != fill(translation, values):
            wrong.append((template, found))
    assert wrong == []


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.GB18030"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "de:en:zh"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "zh"}, "zh"),
        ({"LANG": "C", "LANGUAGE": "zh"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "BICORPUS_LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "BICORPUS_LANG": "en"}, "en"),
    ],
)
def test_the_environment_chooses_the_language(environment: dict[str, str], language: str) -> None:
    """BICORPUS_LANG, then LANGUAGE unless the locale is C, then LC_ALL, LC_MESSAGES and LANG."""
    assert chosen_language(environment) == language


def test_messages_within_messages_are_translated() -> None:
    """The cause of an error and what follows it are translated; settings, names and unknown messages are kept."""
    known = {
        "{where}: unknown key {key}{nearest}": "{where}: 未知的键 {key}{nearest}",
        "; did you mean {name!r}?": "；是不是 {name}？",
        "{path}: {reason}; name a file that can be read": "{path}: {reason}；请指定可以读取的文件",
        "No such file or directory": "没有这个文件",
        "kept": "保留",
        "no rows in this table": "这张表没有行",
    }
    catalogue = Catalogue(known)
    assert catalogue.translate("r.yaml: mix: unknown key 'seeds'; did you mean 'seed'?") == (
        "r.yaml: mix: 未知的键 'seeds'；是不是 'seed'？"
    )
    assert catalogue.translate("a.txt: No such file or directory; name a file that can be read") == (
        "a.txt: 没有这个文件；请指定可以读取的文件"
    )
    assert (
        catalogue.translate("kept: kept; name a file that can be read") == "kept: kept；请指定可以读取的文件"
    )
    assert catalogue.translate("annotate[2]: no rows in this table") == "annotate[2]: 这张表没有行"
    assert catalogue.translate("another message altogether") is None


def test_errors_stay_english_and_are_translated_where_they_are_printed() -> None:
    """The text of an error is the same in any language; `t` translates it inside the block alone."""
    error = ConfigError("minhash.seed is -1; expected 0 or more")
    with in_language("zh"):
        assert str(error) == "minhash.seed is -1; expected 0 or more"
        assert t(str(error)) == "minhash.seed 为 -1，应不小于 0"
        assert labels("kept", "documents") == ["保留", "文档"]
    assert t(str(error)) == str(error) and labels("kept") == ["kept"]


def test_fields_may_stand_in_another_order() -> None:
    """A translation arranges the fields of a message as its language needs."""
    catalogue = Catalogue({"{n:,} of {total:,} documents of {name}": "{name} 的 {total} 篇文档中有 {n} 篇"})
    assert catalogue.translate("3 of 1,200 documents of a of b") == "a of b 的 1,200 篇文档中有 3 篇"
    assert fields_of("{{no}} {field!r} {n:,}") == ["field", "n"]
