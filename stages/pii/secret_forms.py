"""Keys, tokens, passwords and private keys, in code and in text. The forms of issuers are in `secrets.yaml`."""

from __future__ import annotations

import math
import re
from collections import Counter

from pipeline.data_files import read_yaml
from pipeline.recipe import package_file
from stages.kernels.pii.signs import ASSIGNED, KEY_BLOCK, TOKEN
from stages.pii.rule import Rule, always

Match = re.Match[str]

SECRETS_PATH = package_file(__file__, "secrets.yaml")
_LISTS = read_yaml(SECRETS_PATH)

HEADS = {
    TOKEN: tuple(dict.fromkeys(head for key in _LISTS["keys"] for head in key["head"])),
    ASSIGNED: tuple(_LISTS["names"]),
    KEY_BLOCK: ("-----BEGIN ",),
}
"""What secrets and their names begin with, by sign."""

MIN_BITS = 2.8
"""Least entropy of a value in bits a character; words and placeholders have less than random ones, 3.5 or more."""

MIN_BITS_MIXED = 2.4
"""The same for a value with small and large letters, digits and marks, as passwords of people: Abc123123!."""

_PLACEHOLDER = re.compile(
    r"your|example|change|placeholder|redacted|x{4}|\*{3}|<|\$\{|\{\{|%\(|env|getenv|process\.|config|settin"
    r"gs|null|none|true|false|undefined|function"
    r"|(?<![a-z])pass(?=[-_\d])|request|params|required|password|secret|token|self\.|this\.|\(|\)|^[A-Za-z]+$|^[a-z_]+$|^[A-Z_]+$|https?:",
    re.I,
)


def holds_key(match: Match) -> bool:
    """Reject placeholders: a key has forty characters of Base64 in a row."""
    return re.search(r"[A-Za-z0-9+/=]{40}", match["v"]) is not None


def entropy(text: str) -> float:
    """Entropy of the characters of a text, in bits each."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def is_random(match: Match) -> bool:
    """Accept a token that has digits and is no word: key names are parts of identifiers too."""
    return re.search(r"\d", match["v"]) is not None and entropy(match["v"]) > MIN_BITS


def is_secret_value(match: Match) -> bool:
    """Reject placeholders, names of variables and words: a value has letters and digits, or marks, and no order."""
    value = match["v"]
    if _PLACEHOLDER.search(value):
        return False
    classes = sum(re.search(c, value) is not None for c in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    if entropy(value) < (MIN_BITS if classes < 4 else MIN_BITS_MIXED):
        return False
    return re.search("[0-9]", value) is not None and classes >= 2


_BLOCK_HEAD = r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_BLOCK_TAIL = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_NAME = "|".join(re.escape(name) for name in sorted(_LISTS["names"], key=len, reverse=True))
_ASSIGN = (
    rf"(?<![A-Za-z0-9])(?:{_NAME})(?:[_-]?(?:id|value|string|hash|key|\d{{1,2}}))?[\"']?\]?[ \t]{{0,4"
    r"}(?::=|=>|[=:])[ \t]{0,4}"
)
_AWS = r"(?i:aws_secret_access_key)[\"']? ?[=:] ?[\"']?"

RULES = (
    *(Rule("secret", TOKEN, re.compile(rf"(?<![A-Za-z0-9_-])(?P<v>{key['pattern']})(?![A-Za-z0-9_])"),
        is_random if key["name"] in ("openai key", "twilio key", "square token") else always)
        for key in _LISTS["keys"]),
    Rule("secret", ASSIGNED, re.compile(rf"{_AWS}(?P<v>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+])"), always),
    Rule("secret", ASSIGNED, re.compile(rf"{_ASSIGN}(?P<q>[\"'`])(?P<v>(?:(?![\"'`<>])[!-~]){{8,128}})(?P=q)", re.I),
        is_secret_value),
    Rule("secret", ASSIGNED, re.compile(rf"{_ASSIGN}(?P<v>(?:(?![\"'`<>,;()])[!-~]){{8,96}})(?=[\s,;。，；、"
    rf"]|$)", re.I), is_secret_value),
    Rule("secret", KEY_BLOCK, re.compile(
        rf"(?P<v>{_BLOCK_HEAD}(?:(?!-----)[\s\S])+{_BLOCK_TAIL}|{_BLOCK_HEAD}\s+(?:[A-Za-z0-9+/=]{{20,}}\s*)+)"),
        holds_key),
)  # fmt: skip
"""Forms of secrets."""
