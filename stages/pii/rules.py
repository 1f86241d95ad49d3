"""Rules for personal data: one pattern per form, and the check that accepts or rejects its matches.

Patterns are applied to text in plain characters (full-width forms folded to ASCII); group `v` is the value. Only ASCII
letters and digits count as word characters, so that a value next to Han characters is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from stages.kernels.patterns.pii import ACCOUNT, EMAIL, IPV6, KEY_BLOCK, NUMBER, TOKEN
from stages.pii import checks, neighbours


class Rule(NamedTuple):
    """One form of a kind: the sign of the candidates it applies to, its pattern, and the check of a match."""

    kind: str
    sign: int
    pattern: re.Pattern[str]
    holds: Callable[[re.Match[str]], bool]


LEFT = r"(?<![0-9A-Za-z_])(?<![0-9][.,\-])(?<![0-9A-Za-z][/=&#?\-])(?<![¥￥$€£])"
"""The value is not part of a word, a longer number, or the path or query of a URL, and is not a price."""
JOINED = r"(?<=[0-9Xx][/,])"
"""Behind another number; `neighbours.is_free` decides whether that one is of the same sort."""
PHONE_LEFT = (
    rf"(?<!\+)(?:(?<=[Tt][Ee][Ll])|(?<=[Tt]el[=-])|(?<=[Pp]hone)|(?<=phone=)|(?<=mobile=)|{JOINED}|{LEFT})"
)
RIGHT = r"(?![0-9A-Za-z_@])(?![.,\-][0-9])"
NEXT = r"(?:1[3-9]\d[ -]?\d{4}[ -]?\d{4}|0\d{2,3}[ -]?\d{4}|\d{3}-\d{3}-\d{4}|\d{14})"
JOINED_RIGHT = rf"(?![0-9A-Za-z_@])(?![.\-][0-9])(?!,(?!{NEXT})[0-9])"
"""As RIGHT, but another number of its own may follow a comma."""
NO_UNIT = r"(?! ?[元圆%万萬亿億股吨人次])"

LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
LOCAL = r"[A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*"
SEGMENT = r"eyJ[A-Za-z0-9_-]{8,}"
BLOCK_HEAD = r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
BLOCK_TAIL = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
AWS_NAME = r"(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY)[\"']? ?[=:] ?[\"']?"

CARD = r"\d{13,19}|\d{4}([ -])\d{4}\2\d{4}\2\d{4}(?:\2\d{1,3})?|\d{4}[ -]\d{6}[ -]\d{5}|\d{6}[ -]\d{13}"
PREFIX_CN = r"(?:\((?:\+|00)86\)|(?:\+|00)86)[ -]?"
AREA_CN = r"10|2[0-57-9]|[3-9]\d\d"
US = r"\(\d{3}\) ?\d{3}[ .-]|\d{3}-\d{3}-|\d{3}\.\d{3}\."

ACCOUNT_NOUN = r"(?:号码?|號碼?|帐号|账号|帳號| ?[Ii][Dd])"
WECHAT = r"(?:微信|(?<![A-Za-z0-9])(?:[Ww]e[Cc]hat|WECHAT|[Vv][Xx]|[Vv]信))"
QQ = r"(?:(?<![A-Za-z0-9])[Qq][Qq]|扣扣)"
IS = r"(?: ?[是为為])?"
QQ_HEAD = rf"{QQ}(?:{ACCOUNT_NOUN}|群号?)?{IS}[ :]{{0,2}}"
QQ_NUMBER = r"[1-9]\d{4,10}"
QQ_JOINT = r" ?(?:[/、,，;或和及]|or) ?"
QQ_RIGHT = rf"(?![0-9A-Za-z_@])(?![.\-][0-9])(?!,[0-9]{{1,4}}(?![0-9])){NO_UNIT}"

RULES = (
    Rule(
        "secret",
        TOKEN,
        re.compile(r"(?<![A-Za-z0-9])(?P<v>A[KS]IA[A-Z0-9]{16})(?![A-Za-z0-9])"),
        checks.always,
    ),
    Rule(
        "secret",
        TOKEN,
        re.compile(
            r"(?<![A-Za-z0-9_])(?P<v>gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{50,255})(?![A-Za-z0-9_])"
        ),
        checks.always,
    ),
    Rule(
        "secret",
        TOKEN,
        re.compile(rf"(?<![A-Za-z0-9._-])(?P<v>{SEGMENT}\.{SEGMENT}\.[A-Za-z0-9_-]{{16,}})"),
        checks.always,
    ),
    Rule(
        "secret",
        TOKEN,
        re.compile(rf"{AWS_NAME}(?P<v>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+])"),
        checks.always,
    ),
    Rule(
        "secret",
        KEY_BLOCK,
        re.compile(
            rf"(?P<v>{BLOCK_HEAD}(?:(?!-----)[\s\S])+{BLOCK_TAIL}|{BLOCK_HEAD}\s+(?:[A-Za-z0-9+/=]{{20,}}\s*)+)"
        ),
        checks.holds_key,
    ),
    Rule(
        "email",
        EMAIL,
        re.compile(
            rf"(?<![A-Za-z0-9_%+-])(?P<v>{LOCAL}@(?:{LABEL}\.)+[A-Za-z]{{2,24}})(?![A-Za-z0-9@]|-[A-Za-z0-9])"
        ),
        checks.is_email,
    ),
    Rule(
        "id_cn",
        NUMBER,
        re.compile(
            rf"(?:{JOINED}|{LEFT})(?P<v>[1-9]\d{{5}}[ -]?(?:1[89]|20)\d{{6}}[ -]?\d{{3}}[0-9Xx]){JOINED_RIGHT}"
        ),
        checks.is_id_cn,
    ),
    Rule("id_cn", NUMBER, re.compile(rf"{LEFT}(?P<v>[1-9]\d{{14}}){RIGHT}"), checks.is_old_id_cn),
    Rule(
        "bank_card",
        NUMBER,
        re.compile(rf"(?:{JOINED}|{LEFT})(?P<v>{CARD}){JOINED_RIGHT}{NO_UNIT}"),
        checks.is_bank_card,
    ),
    Rule(
        "wechat",
        ACCOUNT,
        re.compile(
            rf"{WECHAT}(?:{ACCOUNT_NOUN}{IS} ?:?|{IS} ?:|(?<=加微信)|(?<=加我微信)) ?"
            r"(?P<v>[A-Za-z][A-Za-z0-9_-]{5,19})(?![A-Za-z0-9_@-]|\.[A-Za-z]|:/)"
        ),
        checks.always,
    ),
    *(  # alone, or after one or two others: QQ：123456、234567 或 345678
        Rule(
            "qq",
            ACCOUNT,
            re.compile(rf"{QQ_HEAD}(?:{QQ_NUMBER}{QQ_JOINT}){{{n}}}(?P<v>{QQ_NUMBER}){QQ_RIGHT}"),
            checks.always,
        )
        for n in range(3)
    ),
    Rule(
        "phone_cn",
        NUMBER,
        re.compile(
            rf"{PHONE_LEFT}(?P<v>(?P<cc>{PREFIX_CN}|86[ -]?)?1[3-9]\d[ -]?\d{{4}}[ -]?\d{{4}}){JOINED_RIGHT}{NO_UNIT}"
        ),
        checks.is_mobile_cn,
    ),
    Rule(
        "phone_cn",
        NUMBER,
        re.compile(
            rf"{PHONE_LEFT}(?P<v>(?:(?P<cc>{PREFIX_CN})|(?=\(?0))(?P<open>\()?0?(?P<area>{AREA_CN})"
            rf"(?P<joint>(?(open)\)[ -]?|[ -]?))(?P<local>[2-8]\d{{2,3}}[ -]?\d{{4}})(?:-\d{{1,5}})?)"
            rf"{JOINED_RIGHT}{NO_UNIT}"
        ),
        checks.is_landline_cn,
    ),
    Rule(
        "phone_cn",
        NUMBER,
        re.compile(rf"(?<![0-9A-Za-z_.\-])(?P<v>[2-8]\d{{6,7}}){JOINED_RIGHT}{NO_UNIT}"),
        neighbours.continues_landline,
    ),
    Rule(
        "phone",
        NUMBER,
        re.compile(rf"(?<![0-9A-Za-z_)\]+])(?P<v>\+\d(?:[ .()-]{{0,2}}\d){{7,14}}){JOINED_RIGHT}"),
        checks.is_international,
    ),
    Rule(
        "phone",
        NUMBER,
        re.compile(rf"{PHONE_LEFT}(?P<v>(?:1[ .-])?(?:{US})\d{{4}}){JOINED_RIGHT}"),
        checks.is_us_phone,
    ),
    Rule(
        "ssn_us", NUMBER, re.compile(rf"{LEFT}(?P<v>\d{{3}}-\d{{2}}-\d{{4}}|\d{{9}}){RIGHT}"), checks.is_ssn
    ),
    Rule(
        "ip",
        NUMBER,
        re.compile(r"(?<![0-9A-Za-z_.\-])(?P<v>(?:\d{1,3}\.){3}\d{1,3})(?![0-9A-Za-z_]|\.\d|-[0-9A-Za-z])"),
        checks.is_public_ipv4,
    ),
    Rule(
        "ip",
        IPV6,
        re.compile(
            r"(?<![0-9A-Za-z_:.])(?P<v>[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4})"
            r"(?![0-9A-Za-z_:])"
        ),
        checks.is_public_ipv6,
    ),
)
"""All forms; of rules that match the same characters, the earlier one has precedence."""

KINDS = tuple(dict.fromkeys(rule.kind for rule in RULES))
