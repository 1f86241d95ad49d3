"""Rules for personal data: one pattern per form, and the check that accepts or rejects its matches.

Patterns are applied to text in plain characters (full-width forms folded to ASCII); group `v` is the value. Only ASCII
letters and digits count as word characters, so that a value next to Han characters is found. A check takes the match in
a text with at least BEFORE_CHARS characters before and AFTER_CHARS after it, or all there are.
"""

from __future__ import annotations

from stages.kernels.pii.heads import Heads, make_heads
from stages.kernels.pii.signs import KEY_BLOCK
from stages.pii import accounts, checks, documents, mail, people, phones, secret_forms, web

RULES = (
    *secret_forms.RULES, *web.RULES, *mail.RULES, *checks.RULES, *documents.RULES, *accounts.RULES, *phones.RULES,
    *people.RULES,
)  # fmt: skip
"""All forms; of rules that match the same characters, the earlier one has precedence."""

KINDS = tuple(dict.fromkeys(rule.kind for rule in RULES))

OPTIONAL = ("name", "address")
"""Kinds that are detected only where they are named: dictionaries and patterns find them less surely than the
others."""

IN_URLS = frozenset(n for n, rule in enumerate(RULES) if rule.kind.startswith("url_"))
"""Rules whose values take precedence over others that overlap them."""

_HEADS = {**secret_forms.HEADS, **documents.HEADS, **accounts.HEADS, **people.HEADS}


def heads_of(signs: int) -> Heads:
    """Build the words that begin a candidate of one of these signs."""
    return make_heads(
        {sign: words for sign, words in _HEADS.items() if sign & signs} or {KEY_BLOCK: ("-----BEGIN ",)},
        phones.label_words(),
    )
