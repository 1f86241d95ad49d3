"""Documents and marks for tests with datatrove, which are skipped where the extra is not installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from stages import datatrove
from tests.helpers.golden import DOCUMENTS

EN = (
    "The old lighthouse stands on a rock that the sea covers twice a day. Nobody has lived there since the light "
    "was automated, but the keeper's garden still grows inside the wall, and people walk out to see it.\n"
)
ZH = "市图书馆昨天宣布，从下个月起延长开放时间。工作日的闭馆时间推迟到晚上九点，周末则照旧，读者都很高兴。\n"
TEXTS = (
    *DOCUMENTS,
    "".join(EN.replace("lighthouse", word) for word in ("tower", "mill", "barn", "inn", "church")),
    "".join(ZH.replace("图书馆", word) for word in ("博物馆", "游泳馆", "美术馆", "体育馆", "档案馆")),
    EN * 8,
    ZH * 8,
    "Lorem Ipsum dolor sit amet.",
    "- one\n- two\n- three\n" * 30,
)


def installed(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of these modules is missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed: {datatrove.INSTALL}"
    )


needs_datatrove = installed("datatrove", "regex")
needs_words = installed("datatrove", "regex", "spacy", "jieba")


def docs(texts: tuple[str, ...] = TEXTS) -> list[Any]:
    """datatrove documents."""
    from datatrove.data import Document

    return [Document(text=text, id=f"id-{i}", metadata={"n": i}) for i, text in enumerate(texts)]
