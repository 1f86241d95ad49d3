"""Signs of candidates, as bits: they determine which patterns are applied."""

from __future__ import annotations

(
    EMAIL, SPELLED, URL, IPV6, MAC, IBAN, PLATE, TOKEN, ASSIGNED, KEY_BLOCK, QQ, WECHAT, HANDLE, DOCUMENT, VEHICLE,
    LONG, NUMBER, QUAD, PLUS, LABELLED, LETTERED, NAME, PLACE,
) = (1 << bit for bit in range(23))  # fmt: skip
"""Signs, as bits, which determine the patterns that are applied to a candidate. SPELLED: an address with at and dot as
words; ASSIGNED: a password or key after its name; LONG: eleven digits or more; NUMBER: groups of digits of the shape of
a telephone number; QUAD: four numbers with dots; LABELLED: digits after a word of contact; LETTERED: digits behind
capitals; NAME, PLACE: words that introduce a person's name or a postal address."""

INTRODUCED = QQ | WECHAT | HANDLE | DOCUMENT | VEHICLE | NAME | PLACE
"""Signs of words that introduce a value."""

AT_HEAD = INTRODUCED | PLATE | TOKEN | ASSIGNED | KEY_BLOCK
"""Signs of which every match begins where the candidate does."""

BEFORE_CHARS, AFTER_CHARS = 64, 48
"""Characters of context before and after a candidate that patterns may read."""
