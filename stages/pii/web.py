"""Personal values inside URLs: user info, and values of a query.

They are kinds of their own, because a placeholder with `<` would break the URL: the release replaces them by a word.
"""

from __future__ import annotations

import re

from stages.kernels.pii.signs import URL
from stages.pii.rule import Rule, always

Match = re.Match[str]

_USERS = frozenset("git hg svn anonymous ftp user username www".split())
"""Names before an at sign that identify nobody."""
_NAME = re.compile(
    r"[a-z_-]*(?:e-?mail|phone|mobile|passw(?:or)?d|pwd|secret|api_?key|access_?key|access_?token|auth_?toke"
    r"n|refresh_?token|id_?token"
    r"|signature|session_?id|phpsessid|jsessionid|passport|ssn)|mail|tel|token|sig|uin|qq|wechat|x-amz-(?:si"
    r"gnature|credential"
    r"|security-token)|x-goog-(?:signature|credential)|awsaccesskeyid",
    re.I,
)
"""Parameters whose values are personal or credentials, in any case."""
_PLAIN = re.compile(
    r"(?:true|false|null|none|yes|no|on|off|\{.*|\$.*|%7b.*|<.*|[a-z]{1,12}|\d{1,4}|your[_-].*|x{3,}"
    r"|(?-i:[A-Z]+(?:_[A-Z]+)+))$",
    re.I,
)


def is_user(match: Match) -> bool:
    """Reject names that identify nobody, and templates."""
    user, _, password = match["v"].partition(":")
    return user.lower() not in _USERS or bool(password)


def is_value(match: Match) -> bool:
    """Reject words, flags, short numbers, templates and names of constants (`YOUR_ACCESS_KEY`)."""
    return _NAME.fullmatch(match["name"]) is not None and _PLAIN.match(match["v"]) is None


RULES = (
    Rule("url_user", URL, re.compile(
        r"://(?P<v>(?:(?![/?#@\"'<>\[\]{}:])[!-~]){1,64}(?::(?:(?![/?#@\"'<>])[!-~]){1,128})?)(?=@[A-Za-z0-9"
        r"\[])"), is_user),
    Rule("url_value", URL, re.compile(r"[?&;](?P<name>[A-Za-z_-]{2,40})=(?P<v>(?:(?![&;#\"'<>()\[\]|])[!-~])"
    r"{5,}(?![&;#\"'<>()\[\]|.,])[!-~])"), is_value),
    Rule("url_value", URL, re.compile(
        r"(?:[?&;=#]|(?<![/:])/)(?P<v>[A-Za-z0-9_.+-]{1,64}(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za"
        r"-z]{2,24})(?![A-Za-z0-9.@-])"),
        always),
)  # fmt: skip
"""Forms of values in URLs."""
