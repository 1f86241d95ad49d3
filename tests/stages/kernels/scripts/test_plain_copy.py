"""The copy of a language part that a model reads: its text, with forms that the model does not know folded."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from classifiers.language.tables import load_flags, load_scripts
from stages.kernels.scripts import scripts
from stages.kernels.scripts.plain_copy import CAPITALS, FOLDED, copy_parts, find_forms
from stages.kernels.text.text import view
from tests.helpers.language_texts import TEXTS

N_GROUPS = int(load_scripts().max()) + 1

SCRIPTS, FLAGS = load_scripts(), load_flags()


def copy(text: str, group: int, *, terms: bool = False, whole: bool = False, as_is: bool = False) -> str:
    """The copy of one part of a text."""
    decoded = view(pa.array([text], pa.large_string()))
    found = scripts.survey(decoded, SCRIPTS, FLAGS, N_GROUPS, 5, 0.1)
    forms = np.zeros(1, np.uint8) if as_is else find_forms(decoded)
    out, offsets = copy_parts(
        decoded, found, np.array([0]), np.array([group]), np.array([terms]), np.array([whole]), forms,
        np.array([len(text.encode())]),
    )  # fmt: skip
    return bytes(out[: offsets[1]]).decode()


@given(TEXTS)
@settings(max_examples=40)
def test_parts_are_copied_as_text(text: str) -> None:
    """A part of a text without other forms contains its code points but NUL in order, with a blank for each gap."""
    text = text.replace("\0", "")
    found = scripts.survey(view(pa.array([text])), SCRIPTS, FLAGS, N_GROUPS, 5, 0.1)
    for group, terms in [(i, False) for i in range(N_GROUPS)] + [(scripts.LATN, True)]:
        of = [
            group,
            *([scripts.SHORT] if found.short_group[0] == group else []),
            *([scripts.TERM] if terms else []),
        ]
        kept = "".join(char for char, g in zip(text, found.groups, strict=True) if g in of)
        assert copy(text, group, terms=terms, as_is=True).replace(" ", "") == kept.replace(" ", "")
    assert copy(text, 0, whole=True, as_is=True) == text
    assert len(copy(text, scripts.LATN, whole=True)) <= len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ｔｈｅ　ｎｅｗ　ｐｌａｎ，　ｎｏｗ．", "The new plan, now."),
        ("The\u00a0new\u2002plan\u202fnow", "The new plan now"),
        ("THE NEW PLAN, Now", "the new plan, now"),
        ("ÉTÉ À LA MER ȺȾ", "été à la mer ⱥⱦ"),
        ("the in\u00adter\u2060na\ufefftional plan", "the international plan"),
        ("The new plan, now", "The new plan, now"),
        ("𝐓he new 𝟐 plans", "the new 2 plans"),
    ],
)
def test_forms_are_folded(text: str, expected: str) -> None:
    """Full width, blanks of Unicode, invisible characters inside words, and capitals become plain text."""
    assert copy(text, scripts.LATN, whole=True) == expected


def test_chinese_keeps_its_punctuation() -> None:
    """Full-width punctuation is plain in Chinese text, full-width letters and U+3000 are not."""
    assert copy("　山上有ＡＢ站，“不错”。", 0, whole=True) == " 山上有ab站，“不错”。"
    assert copy("　山上有Ａb站c，不错。", 0, whole=True) == " 山上有Ab站c，不错。"


def test_only_other_forms_are_copied() -> None:
    """Ordinary text has no form, so that it is predicted from where it is."""
    texts = [
        "Plain text, “quoted” — and so on…",
        "山上，有站。",
        "No\u00a0break",
        "ALL CAPS",
        "NASA launched it",
        "",
        "１",
    ]
    assert find_forms(view(pa.array(texts))).tolist() == [0, 0, FOLDED, CAPITALS, 0, 0, FOLDED]
