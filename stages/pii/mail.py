"""E-mail addresses, also with the at sign and dots as words; identifiers and file names of the same form are not.

A form that could be a sentence (`look at example.org`) needs a word of mail before it, a name with a mark in it, or the
context of a mailing list.
"""

from __future__ import annotations

import re

from stages.kernels.pii.shapes import MAX_DOMAIN, MAX_LOCAL
from stages.kernels.pii.signs import EMAIL, SPELLED
from stages.pii.neighbours import before, behind
from stages.pii.rule import Rule

Match = re.Match[str]

FILE_SUFFIXES = frozenset(
    "png jpg jpeg gif webp svg bmp ico css js ts jsx tsx json html htm xml txt pdf exe dll php asp aspx jsp "
    "py rb".split()
)
"""File extensions, as in icon@2x.png, that are not top-level domains."""
TOP = (
    r"(?:com|org|net|edu|gov|mil|int|info|biz|io|ai|co|me|dev|app|name|cn|hk|tw|mo|sg|jp|kr|de|uk|fr|it|es|n"
    r"l|be|ch|at|se|no|dk|fi"
    r"|pl|cz|ru|ua|us|ca|au|nz|in|br|mx|eu|za|il|tr|gr|pt|ie|ro|hu)"
)
"""Top-level domains of addresses whose dots are words."""

_HEADER = re.compile(
    r"(?:(?:message|content)-id:?|in-reply-to:|references:|thread-index:)\s{0,2}(?:<[^<>\s]{1,60}>,?\s{0,2})"
    r"*<?$|\bid <$|\bcid:$|\bmsg-?id\W{1,3}$|\b(?:message|article|news:) ?<$",
    re.I | re.A,
)
"""Headers of mail (RFC 5322, section 3.6.4) before an identifier in the form of an address."""
_SERIAL = re.compile(
    r"\d{8,14}\.[\w.+-]*\d|[0-9A-F]{6,}\.[0-9A-F.]{4,}|[0-9a-f]{24,}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    r"|ca[a-z0-9_+=-]{24,}|.{0,40}\.javamail\..*|p[a-z]{3}[0-9a-f]{12,}.*|[A-Z0-9]{12,}"
    r"|(?=.{0,40}[.%+$=-])(?:[^\d]*\d){12}.*|\d{4,}\.\d{3,}\..*|[0-9A-Fa-f]{8}\.[0-9A-Fa-f]{2,6}%.*",
)
"""Local parts of identifiers of messages: dates and counters, hexadecimal numbers, and those of well-known programs."""


def _is_id(local: str, domain: str) -> bool:
    """Return whether an address is the identifier of a message: a number that a program made."""
    if domain.lower() in ("phx.gbl", "localhost.localdomain"):
        return True
    if re.fullmatch(r"[a-z0-9]{6,}\.fsf.*", local):  # Gnus
        return True
    text = local if _SERIAL.fullmatch(local) else local.lower()
    return _SERIAL.fullmatch(text) is not None and re.search(r"\d.*\d.*\d.*\d", local) is not None


def is_email(match: Match) -> bool:
    """Reject file names, packages with a version, hosts of remote paths, and identifiers of messages."""
    local, _, domain = match["v"].partition("@")
    if domain.lower() == "mail.gmail.com":  # identifiers of messages only
        return False
    if (
        len(local) > MAX_LOCAL
        or len(domain) > MAX_DOMAIN
        or domain.rpartition(".")[2].lower() in FILE_SUFFIXES
    ):
        return False
    if (
        before(match, 3) == "://"
        or _HEADER.search(before(match))
        or (before(match, 1) == "<" and _is_id(local, domain))
    ):
        return False
    return not re.match(r":[\w.~-]{0,14}/", match.string[match.end("v") :], re.ASCII)


# At and dot as words

_LABEL_BEFORE = re.compile(
    r"(?:(?:e-?mail|mailto|邮箱|郵箱|信箱|邮址)(?: address)?\s{0,2}[:=-]?|contact:)\s{0,2}[<(]?$", re.I
)
"""A word of mail directly before an address."""
_MAIL_WORD = re.compile(
    r"(?:e-?mails?|mail|邮箱|邮件|信箱|電郵|电邮|郵箱|邮址|mailto|contact|write|from|to|by)[^\n]{0,24}$", re.I
)
_BEHIND = re.compile(
    r"\s{0,3}(?:>|\)|wrote:|writes:|\n ?(?:mon|tue|wed|thu|fri|sat|sun)[a-z]* [a-z0-9]{1,3})", re.I
)
_NO_NAME = frozenset(
    "look looks looking us me more available found here online out visit is are found back over live located"
    " page site sold work working "
    "read posted get got info-only join meet jobs shop store stay blog see him her them you it now only up d"
    "own home today all".split()
)
"""Words that end a clause before an address of a site: find us at example.org."""


def is_bracketed(match: Match) -> bool:
    """Accept an address whose at sign is a word in brackets; it needs a name of a host with a dot."""
    return match["v"].rpartition(".")[2].lower() not in FILE_SUFFIXES


def is_worded(match: Match) -> bool:
    """Accept `name at host dot org`, whose dot is a word too."""
    return match["local"].lower() not in _NO_NAME


def is_sentence_or_mail(match: Match) -> bool:
    """Accept `name at example.org` in the context of mail: in brackets, before the date of a message, behind a word of
    mail or the name of the person, or with a host of many mailboxes."""
    local = match["local"].lower()
    if local in _NO_NAME:
        return False
    if _MANY.search(match["v"]) or _LABEL_BEFORE.search(before(match)) or _is_signature(match):
        return True
    if _BEHIND.match(match.string[match.end("v") :]) and (
        before(match, 1) in "<(>\n \t*_" or not before(match)
    ):
        return bool(re.search(r"[<(]$|\n[^\n]{0,40}$|^[^\n]{0,40}$", before(match)))
    text = before(match)
    return re.search(r"[0-9._-]", local) is not None and _MAIL_WORD.search(text) is not None


_APART = re.compile(r"(?:^|[\n|,;>•·(])[ \t]*$")
"""Before an address that is no part of a sentence."""


def _is_signature(match: Match) -> bool:
    """Return whether an address outside a sentence is a line of its own with a mark, or is derived from a name before.

    Brian Ripley, ripley at; Dirk Eddelbuettel | edd at; Ajay Shah, ajayshah at.
    """
    local, text = match["local"], before(match)
    if not _APART.search(text) or not local[0].islower():
        return False
    if (
        re.search(r"\w[._-]\w|\d", local)
        and text[-1:] in ("", "\n")
        and re.match(r"\s*(?:\n|$)", behind(match))
    ):
        return True
    joined = re.sub(r"[._-]", "", local)
    names = [name.lower() for name in re.findall(r"(?<![A-Za-z0-9])[A-Z][a-z]{2,}", text)]
    return any(
        (len(joined) >= 3 and name.startswith(joined))
        or (
            len(name) >= 4
            and name in joined
            and (len(joined) - len(name) <= 2 or joined.replace(name, "") in names)
        )
        for name in names
    )


def is_spaced(match: Match) -> bool:
    """Accept `name @ host.org` behind a word of mail, or with a host of many mailboxes."""
    if re.search(r"(?:mail|邮|郵|信箱|contact)[^\n]{0,24}$", before(match), re.I) or _MANY.search(match["v"]):
        return True
    return (
        re.search(r"(?:^|\n)[ \t•*-]*$", before(match)) is not None
        and re.match(r"\s*(?:\n|$)", behind(match)) is not None
    )


def is_marked(match: Match) -> bool:
    """Accept another mark in place of the at sign, if the text says so or names a mailbox."""
    told = re.search(r"@", behind(match)[:24]) is not None and re.search(
        "换|換|改|替|代|=|instead|replace", behind(match)[:24]
    )
    return (
        bool(told or _MANY.search(match["v"]))
        or re.search(r"(?:mail|邮箱|郵箱|信箱)[^\n]{0,6}$", before(match), re.I) is not None
    )


_MANY = re.compile(
    r"(?:qq|163|126|139|189|sina|sohu|foxmail|gmail|hotmail|yahoo|outlook|aol|msn|live|icloud|proton)\.[a-z.]+$",
    re.I,
)

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
LOCAL = r"[A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*"
_DOT = r"(?: ?[(\[{<]? ?(?:dot|DOT|Dot) ?[)\]}>]? ?| ?[(\[{]\.[)\]}] ?)"
_AT = r"(?:at|AT|At|aT)"
_LEFT = r"(?<![A-Za-z0-9_%+.\-])"
_END = r"(?![A-Za-z0-9@]|-[A-Za-z0-9]|\.[A-Za-z0-9])"

RULES = (
    Rule("email", EMAIL, re.compile(
        rf"(?<![A-Za-z0-9_%+$!-])(?P<v>{LOCAL}@(?:{_LABEL}\.)+[A-Za-z]{{2,24}})(?![A-Za-z0-9@]|-[A-Za-z0-9])"),
        is_email),
    Rule("email", EMAIL, re.compile(
        rf"(?<![A-Za-z0-9_%+$!-])(?P<v>{LOCAL}(?: @ ?| ?@ )(?:{_LABEL}\.)+{TOP}){_END}", re.I), is_spaced),
    Rule("email", EMAIL, re.compile(
        rf"{_LEFT}(?P<v>{LOCAL} ?[(\[]@[)\]] ?(?:{_LABEL}\.)+{TOP}){_END}", re.I), is_bracketed),
    Rule("email", SPELLED, re.compile(
        rf"{_LEFT}(?P<v>{LOCAL} ?[(\[{{<] ?{_AT} ?[)\]}}>] ?{_LABEL}(?:(?:\.|{_DOT}){_LABEL})*(?:\.|{_DOT})"
        rf"{TOP}){_END}", re.I),
        is_bracketed),
    Rule("email", SPELLED, re.compile(
        rf"{_LEFT}(?P<v>(?P<local>{LOCAL})[ _-]{_AT}[ _-]{_LABEL}(?:{_DOT}{_LABEL})*{_DOT}{TOP}){_END}"), is_worded),
    Rule("email", SPELLED, re.compile(rf"{_LEFT}(?P<v>{LOCAL} ?# ?(?:{_LABEL}\.)+{TOP}){_END}"), is_marked),
    Rule("email", SPELLED, re.compile(
        rf"{_LEFT}(?P<v>(?P<local>{LOCAL}) at (?:{_LABEL}\.)+{TOP}){_END}"), is_sentence_or_mail),
)  # fmt: skip
"""Forms of addresses."""
