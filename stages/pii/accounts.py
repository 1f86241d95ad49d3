"""Accounts behind the words that introduce them: QQ, WeChat, and handles of Weibo, Douyin, Telegram, Skype, Line.

A name without an introduction looks like any other word and is not found; nor are public accounts (公众号).
"""

from __future__ import annotations

import re

from stages.kernels.pii.signs import HANDLE, QQ, WECHAT
from stages.pii.neighbours import before, behind
from stages.pii.rule import IS, NO_UNIT, form

Match = re.Match[str]

HEADS = {
    QQ: ("qq", "q q", "q群", "扣扣", "企鹅", "企鵝", "叩叩", "球球", "秋秋", "扣群", "群号", "群號", "交流群",
    "讨论群", "討論群", "粉丝群", "技术群", "用户群", "读者群"),
    WECHAT: ("微信", "微 信", "薇信", "威信", "徽信", "wechat", "weixin", "we chat", "vx", "wx", "v信", "v:",
    "加v", "加薇", "+v", "+ v", "微:"),
    HANDLE: ("微博", "weibo", "抖音", "douyin", "快手", "小红书", "小紅書", "电报", "電報", "telegram", "tg",
    "skype", "line id", "lineid", "line:",
             "推特", "twitter", "instagram", "ig:", "tiktok", "snapchat", "discord", "陌陌", "回复@", "回复 @",
             "回覆@", "回覆 @", "支付宝", "支付寶", "alipay"),
}  # fmt: skip
"""Words that introduce an account, by sign, in any case."""

_NOUN = r"(?: ?(?:号码?|號碼?|帐号|账号|帳號|賬號|[Ii][Dd]))"
_BRACKET = r"(?:\([^()\n]{0,12}\))?"
_LETTER_LEFT = r"(?<![A-Za-z0-9])"

# QQ

_QQ = (
    rf"(?:{_LETTER_LEFT}(?:[Qq] ?[Qq]|[Qq](?=群))|扣扣|企[鹅鵝]|叩叩|球球|秋秋|扣(?=群)|(?<!微信)群(?=[号"
    r"號])|(?:交流|讨论|討論|粉丝|技术|用户|读者)(?=群))"
)
_QQ_WORDS = (
    r"(?:[\s:]{0,2}(?:号码?|號碼?|帐号|账号|帳號|[Ii][Dd]|[12一二三四]?群[号號]?[12一二三四]?|交流|讨论|技术"
    r"|官方|学习|活动|活動|总|客服|在线|咨询|联系|联络|聯絡|客户|服务|业务|售[前后]|邮箱"
    r"|[0-9]{1,2}(?=[ :])|同号|/ ?微信|和微信|或微信|/ ?[Ww]e[Cc]hat|/ ?MSN|[Gg]roup|[Nn]o\.?))*"
)
_QQ_HEAD = rf"{_QQ}{_QQ_WORDS}{_BRACKET}{IS}[\s:=\-]{{0,8}}[「【\[(]?"
_QQ_NUMBER = r"[1-9]\d{4,10}"
_QQ_JOINT = r"(?:\([^()\d\n]{0,10}\))?\s{0,2}(?:[/、,，;；|或和及]|or|群?[2-9一二三四][:：]|\s)\s?"
_QQ_RIGHT = rf"(?![0-9A-Za-z_@])(?![.\-][0-9])(?!,[0-9]{{1,4}}(?![0-9])){NO_UNIT}"


def is_qq(match: Match) -> bool:
    """Reject years and versions of the program."""
    return not re.fullmatch(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[012]\d|3[01])", match["v"])


# WeChat

_WECHAT = (
    rf"(?:[微薇威徽] ?信|{_LETTER_LEFT}(?:[Ww]e ?[Cc]hat|WECHAT|[Ww]eixin|WEIXIN|[Vv][Xx]|[Ww][Xx])(?!"
    rf"[A-Za-z0-9])|{_LETTER_LEFT}[Vv]信)"
)
_SHORT = rf"(?:加[Vv薇]|{_LETTER_LEFT}[+]\s?[Vv](?![A-Za-z])|{_LETTER_LEFT}[Vv微] ?(?=:))"
"""Short for WeChat; the name behind needs a digit, because a letter and a colon introduce much else."""
_WECHAT_WORDS = (
    r"(?: ?(?:号码?|號碼?|帐号|账号|帳號|賬號|[Ii][Dd]|客服|咨询|联系|联络|搜索?|中搜|群主|同号|添加|好友|[1"
    r"2一二](?=[ :])|/ ?[Qq][Qq]|和[Qq][Qq]|/ ?电话|/ ?手机|/ ?[Ww]hats[Aa]pp"
    r"|[Nn]o\.?))*"
)
_WECHAT_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{5,19}"
_WECHAT_RIGHT = r"(?![A-Za-z0-9_@-]|\.[A-Za-z]|:/|/[A-Za-z0-9])"
_NOT_NAMES = re.compile(
    r"https?|weixin|wechat|android|iphone|official|account|windows|mobile|qrcode|groups?|moments|payment|min"
    r"i-?program(?:me)?s?|version|public|public_.*"
    r"|[0-9]{1,5}|(?:19|20)\d{6}|discord|telegram|facebook|twitter|instagram|whatsapp",
    re.I,
)


def is_named(match: Match) -> bool:
    """Reject words of the program and its services."""
    return _NOT_NAMES.fullmatch(match["v"]) is None


def is_marked(match: Match) -> bool:
    """Accept a name without a colon before it if it has a digit or an underscore besides letters."""
    return (
        is_named(match)
        and re.search(r"[A-Za-z_]", match["v"]) is not None
        and re.search(r"[0-9_]", match["v"]) is not None
    )


# Other handles

_COLON = r" ?(?:[:=]|是|为|為) ?"
_NOT_HANDLE = re.compile(
    r"(?:https?|www|com|share|login|follow|official|channel|group|bot|here|button|icon|live)$", re.I
)


def is_handle(match: Match) -> bool:
    """Reject links and words of pages."""
    return _NOT_HANDLE.match(match["v"].lstrip("@")) is None and not match.string.startswith(
        ("://", ".com"), match.end("v")
    )


_CONTACTS = re.compile(r"wechat|whats ?app|skype|tel\b|phone|mail|微信|电话|電話|line ?id", re.I)


def is_network(match: Match) -> bool:
    """Accept a name behind the name of a network: with an at sign, or a blank before it, as tags of pages have none."""
    if re.fullmatch("[A-Z][a-z]+", match["v"]) and re.match(" [A-Za-z]", behind(match)):
        return False  # Scaling Twitter: Making it faster
    return is_handle(match) and (
        match["v"][0] == "@" or before(match, 1) == " " or not before(match, 2)[:1].isascii()
    )


def is_line(match: Match) -> bool:
    """Accept a name behind Line, an English word, if other contacts are beside it, or `ID`, or the name has a mark."""
    named = re.search(r"id[ :=]*$|[帳账帐][号號][ :=]*$", before(match), re.I) or match["v"][0] == "@"
    return is_handle(match) and bool(named or _CONTACTS.search(f"{before(match)} {behind(match)}"))


_HANDLE = r"@?[A-Za-z0-9][A-Za-z0-9_.\-]{3,30}[A-Za-z0-9_]"
_HANDLE_RIGHT = r"(?![A-Za-z0-9_@\-]|\.[A-Za-z0-9]|:/|/[A-Za-z0-9])"

RULES = (
    *(  # alone, or after up to five others: QQ：123456、234567 或 345678
        form("qq", QQ, rf"{_QQ_HEAD}(?:{_QQ_NUMBER}{_QQ_JOINT}){{{n}}}(?P<v>{_QQ_NUMBER}){_QQ_RIGHT}",
            is_qq)
        for n in range(6)
    ),
    form("wechat", WECHAT,
        rf"{_WECHAT}{_WECHAT_WORDS}{_BRACKET}(?:{IS}\s?[:=]|(?:{_NOUN})[是为為]?|[搜是]|(?<=加微信)|(?<=加我"
        rf"微信))\s?[「【\[]?"
        rf"(?P<v>{_WECHAT_NAME}){_WECHAT_RIGHT}", is_named),
    form("wechat", WECHAT,
        rf"{_WECHAT}{_WECHAT_WORDS}{_BRACKET}[ \t「【\[\"“]{{0,2}}(?P<v>{_WECHAT_NAME}){_WECHAT_RIGHT}", is_marked),
    form("wechat", WECHAT, rf"{_WECHAT}{_WECHAT_WORDS} ?\((?:微信?[号號]?[:]? ?|ID:? ?)?(?P<v>"
    rf"{_WECHAT_NAME})\)", is_named),
    form("wechat", WECHAT, rf"{_WECHAT}{_WECHAT_WORDS}{_BRACKET}{IS} ?:\s{{1,6}}(?P<v>"
    rf"{_WECHAT_NAME}){_WECHAT_RIGHT}", is_marked),
    form("wechat", WECHAT, rf"{_SHORT}[:： \t]{{0,2}}(?P<v>{_WECHAT_NAME}){_WECHAT_RIGHT}", is_marked),
    form("handle", HANDLE,
        rf"(?:微博|{_LETTER_LEFT}[Ww]eibo|推特|{_LETTER_LEFT}[Tt]witter|{_LETTER_LEFT}[Ii]nstagram|"
        rf"{_LETTER_LEFT}IG|{_LETTER_LEFT}[Tt]ik[Tt]ok|{_LETTER_LEFT}[Ss]napchat"
        rf"|{_LETTER_LEFT}[Dd]iscord){_NOUN}? ?[:=] ?(?P<v>@[A-Za-z0-9_-]{{2,30}}|@[\w\u4e00-\u9fff-]{{2,30"
        rf"}}|{_HANDLE}){_HANDLE_RIGHT}", is_network),
    form("handle", HANDLE,
        rf"(?:微博|{_LETTER_LEFT}[Ww]eibo|推特|{_LETTER_LEFT}[Tt]witter|{_LETTER_LEFT}[Ii]nstagram|"
        rf"{_LETTER_LEFT}[Tt]ik[Tt]ok) ?\(?(?P<v>@ ?[A-Za-z0-9_-]{{3,30}}){_HANDLE_RIGHT}", is_handle),
    form("handle", HANDLE, r"回[复覆] ?(?P<v>@[\w\u4e00-\u9fff-]{2,30})(?= ?:)"),
    form("handle", HANDLE,
        rf"(?:抖音|快手|小红书|小紅書|陌陌|支付宝|支付寶|{_LETTER_LEFT}[Dd]ouyin|{_LETTER_LEFT}[Aa]lipay)(?:"
        rf"(?:{_NOUN}){_COLON}|{_COLON}|(?:{_NOUN}) ?)"
        rf"(?P<v>{_HANDLE}){_HANDLE_RIGHT}", is_handle),
    form("handle", HANDLE,
        rf"(?:电报|電報|{_LETTER_LEFT}[Tt]elegram|TELEGRAM|{_LETTER_LEFT}[Tt][Gg])(?:{_NOUN}|群|频道|客服|联"
        rf"系)?(?:{_COLON}@?|[ (\[]{{1,2}}@)"
        rf"(?P<v>[A-Za-z][A-Za-z0-9_]{{4,31}}){_HANDLE_RIGHT}", is_handle),
    form("handle", HANDLE,
        rf"{_LETTER_LEFT}(?:[Ss]kype|SKYPE)(?: ?(?:[Ii][Dd]|[Nn]ame|账号|帐号|帳號|号|號))?{_COLON}(?P<v>(?:"
        rf"live:)?{_HANDLE}){_HANDLE_RIGHT}", is_handle),
    form("handle", HANDLE,
        rf"{_LETTER_LEFT}(?:[Ll]ine|LINE)(?: ?(?:[Ii][Dd])| ?@| ?[帳账帐][号號])?{_COLON}(?P<v>{_HANDLE})"
        rf"{_HANDLE_RIGHT}", is_line),
)  # fmt: skip
"""Forms of accounts."""
