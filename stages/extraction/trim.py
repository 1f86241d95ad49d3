"""Lines at the ends of a text that are not its own: bylines, dates, sources, editors, buttons, notices.

A line is removed for its words, only near an end of the text, and only if it is short. Lines between paragraphs stay.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from stages.extraction.page_tree import prose_of

ENDS = re.compile(
    r"(?:跳[转到过至].{0,6}(?:内容|导航)?|分享[到至]?|字号|字体|打印|收藏|举报|点赞|评论|返回(?:顶部|首页|列表)?"
    r"|[上下]一[篇页章条].{0,60}|当前位置|您的位置|相关(?:阅读|新闻|推荐|文章|链接)|推荐阅读|更多|展开|收起"
    r"|热门.{0,4}|扫一扫.{0,20}|关注公众号.{0,20}|版权所有.{0,80}|(?:点击)?(?:展开|阅读|查看|显示)(?:全文|全部|更多|原文)"
    r"|skip to (?:main )?(?:content|navigation)|share(?: this)?(?: (?:story|article|page|post))?(?: on.{0,20})?|tweet"
    r"|print(?: (?:this )?(?:article|page|story))?|e?-?mail(?: (?:this )?(?:article|page|story))?"
    r"|(?:share|tell us) (?:your thoughts|what you think).{0,40}|like this (?:story|article|post)\?.{0,40}"
    r"|follow(?: us)?"
    r"|back to top|(?:\d+ )?comments?|(?:leave|post|add) an? (?:comment|reply)|loading comments[ .…]*"
    r"|related (?:posts|articles|stories)|(?:previous|next)(?: post| page| article)?|read (?:more|next)"
    r"|view (?:all|comments)"
    r"|(?:all rights reserved|copyright|©).{0,80})[\s:：|/>»]*",
    re.IGNORECASE,
)
"""Complete boilerplate lines at the ends of a text, in Chinese and in English."""

ANYWHERE = re.compile(
    r"广告|廣告|adverts?|advertisement|advertising|sponsored(?: links?)?|(?:article|story) continues (?:below"
    r"|after)(?: this)?(?: ad(?:vertisement)?)?|sharing is caring!?|back to gallery"
    r"|this slideshow requires javascript\.?"
    r"|click here (?:to|for) (?:get|read|subscribe|sign|join|watch|buy|order|listen|more|our|the latest)\b.{0,80}"
    r"|.{0,60} by clicking here\.?"
    r"|(?:(?:see|watch) more|read (?:more|also|next)|watch next)\s*[:：].{0,150}"
    r"|related (?:post|article|story|stories|posts|articles|coverage|content)\s*[:：].{0,150}"
    r"|\(?(?-i:Photo|Image|Picture|Pic|Photograph|PHOTO|IMAGE)s?(?: (?:credit|courtesy|source|by))?\s*[:：]"
    r"\s*(?-i:[A-Z][^:=]{1,60})"
    r"|\(?(?:additional )?reporting (?:by|from) .{0,150}"
    r"|image \d+ of \d+|image (?:copyright|source|credit)\s.{2,60}|just watched|must watch|replay|text size"
    r"|(?:share )?all sharing options for\s*[:：]?.{0,150}"
    r"|by (?:signing up|subscribing|registering|submitting (?:this|your)\b)[^.]{0,60}you .{0,150}"
    r"(?:privacy|terms|e?-?mails?)\b.{0,120}"
    r"|(?:sign up|subscribe)(?: now| here| today)? (?:for|to) (?:our|the|my|free)\b.{0,60}\bnewsletters?\b.{0,60}"
    r"|get .{3,60} (?:in|to|into|delivered to) your inbox.{0,60}"
    r"|click to expand\W*|(?:\S{1,30} )?wrote (?:on )?last edited by(?: \S{1,30})?"
    r"|this topic has been deleted\. only users with topic management privileges can see it\."
    r"|.{2,120} contributed (?:reporting|to this (?:report|article|story))(?: from .{0,40})?\.?",
    re.IGNORECASE,
)
"""Complete lines that are not text wherever they stand."""

ORIGINAL = re.compile(r"[(（【\[]?\s*原(?:标题|標題|题|文标题)\s*[:：丨|].{0,80}")

CREDITS = re.compile(
    r"[(（【\[]?\s*(?:(?:本[文期]|责任|責任|值班|执行|终审|美术|视频|新媒体|文字|见习|实习|特约|本报|本网)?(?:编辑|編輯|主编|编审|责编|記者|记者|校对|审核|审校|初审|复审|终审"
    r"|二审|三审|审签|监制|总监制|监审|策划|统筹|编导|摄影|摄像|供稿|供图|通讯员|作者|来源|來源|稿源|出处|文/图|图/文|图片来源|文章来源|信息来源|签发|责任人|制作|排版)"
    r"[^。！？；，]{0,3}[:：丨|/／]|(?:(?:written|posted|reported|edited) )?by (?-i:[A-Z])[^:,]{0,40}$|(?:source"
    r"|author|editor|photo|tags?|via|filed under|posted in|categories|category)\s*:|标签\s*[:：]|关键词\s*[:：])"
    r"[^。！？]{0,50}",
    re.IGNORECASE,
)
"""Credits: the name of a role and a name, in a line of its own."""

MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
DATE = re.compile(
    r"(?:19|20)\d\d\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}\s*[日号]?|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d"
    rf"|\d{{1,2}}/\d{{1,2}}/\d\d(?!\d)|\d{{1,2}}(?:st|nd|rd|th)?\s+{MONTH},?\s+(?:19|20)\d\d|{MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+(?:19|20)\d\d",
    re.IGNORECASE,
)
KEPT = re.compile(
    r"^(?:[表图圖附第]|table|fig)|施行|公布|通过|通過|修正|修订|修訂|批准|令第|[。\"{}=`]", re.IGNORECASE
)
"""Marks of a date that is part of a text, such as those of laws and tables."""

SIGNED = re.compile(r"(?:19|20)\d\d\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日")
"""A date alone at the end of a text signs a letter or notice."""

STAMP = re.compile(
    rf"(?:last |first |originally )?(?:updated|posted|published|publish date|modified)\b[\s:：|-]*(?:on |at )?"
    rf"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[., ]+)?(?:{MONTH}\s+\d{{1,2}}\b"
    rf"|\d{{1,2}}\s+{MONTH}|(?:19|20)\d\d[-/.]\d|\d{{1,2}}[-/.]\d).{{0,80}}",
    re.IGNORECASE,
)
"""A line that begins with when a page was published or changed; the year may be missing."""

FILLER = re.compile(
    r"\d{1,2}[:：]\d\d(?:[:：]\d\d)?(?:\s*[ap]\.?m\.?)?|\b(?:[ECMP][DS]?T|GMT|UTC|BST|IST|AEST)\b|发布|發佈|发表|更新|修改|时间|日期|于|來源|来源|作者|编辑|记者|责编|浏览|阅读|点击|评论|次数?|人气|字号"
    r"|\b(?:published|updated|posted|modified|last|on|at|by|mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?"
    r"|sun)(?:day)?\b|min(?:ute)?s? read|[\d\s:：|,，·•/()（）\[\]【】-]+",
    re.IGNORECASE,
)
"""Words beside a date in the line below a headline."""

NOTICE = re.compile(
    r"(?:[(（【\[※*]\s*)?(?:(?:特别|免责|版权|本站|重要|郑重)?(?:声明|聲明|申明)[:：\s]|转载(?:请|須|须|时|自|声明|本)|未经.{0,12}(?:授权|许可|允许)|本(?:文|站|网|作品|内容|图文|回答).{0,24}(?:转载|出处|版权|侵权|授权|原创|不代表|仅代表|仅供参考)"
    r"|以上(?:内容|文章|图文).{0,40}(?:不代表|仅代表|上传|转载|侵权|存储)|(?:如有|若有|如).{0,8}侵权|更多.{0,40}(?:关注|敬请|请(?:点击|访问|查看|关注))|(?:欢迎|敬请)(?:关注|订阅|扫码|转发|分享)|(?:微信|长按|扫码|扫描).{0,20}(?:关注|二维码)"
    r"|需要?\s*登[录陆].{0,30}|还没有(?:账号|帐号)|[(（]?快捷键|(?:©|copyright\b|all rights reserved)|disclaimer\s*:"
    r"|(?:write to|e?-?mail|contact|reach|follow) .{2,60}@\w"
    r"|.{2,80} (?:may|can) be (?:reached|contacted|followed) (?:at|on|by)\b"
    r"|(?-i:[A-Z])[^,.]{3,40} is an? (?:[\w-]+ ){0,4}"
    r"(?:reporter|correspondent|writer|editor|journalist|columnist|contributor|producer)"
    r"\b(?: (?:for|at|with|based|in|on|who|covering)\b.{0,100})?\.?$"
    r"|this (?:article|post|story) (?:was )?(?:originally|first) (?:appeared|published)"
    r"|(?:follow|like|join|find) us (?:on|at)|sign up (?:for|to)|subscribe (?:to|for|now)|click here (?:to"
    r"|for)|(?:read|see) (?:more|also)\s*[:：]|related\s*:|share this\b)",
    re.IGNORECASE,
)
"""The start of a notice behind a text: rights, sources, invitations to subscribe."""

BUTTON = re.compile(
    r"(?:复制链接|电梯直达|只看(?:该|此)作者|只看楼主|倒序浏览|阅读模式|显示全部楼层|使用道具|新手上路|发消息|加好友|收听TA|向TA提问|私信TA|采纳数|获赞数|抢首赞|已赞过|已踩过|添加评论"
    r"|注册时间|最后登录|在线时间|该用户从未签到|当前离线|在线状态|赞同|帖子|积分|主题|精华|威望|金钱|楼主|沙发|板凳|地板|回复|举报|支持|反对|评论|收藏|分享|喜欢|点赞|收起|展开全部|引用|顶一下|踩一下|播报文章|语音播报|不感兴趣|不喜欢"
    r"|joined|posts|reputation|reply(?: to this)?|quote|report(?: post)?|like|dislike|share|permalink|upvote"
    r"|downvote|follow|offline|online"
    r"|注册会员|(?:初级|中级|高级|金牌)会员|论坛元老|[#＃]\d+|\d+[#＃楼])",
    re.IGNORECASE,
)
"""Buttons and counters of forums and answer sites, as their software labels them."""

BUTTONS = re.compile(rf"(?:{BUTTON.pattern}[\s\d,.|·•/:：，()（）<>»▲▼+k万-]*)+", re.IGNORECASE)

POSTED = re.compile(
    r"(?:发表于|发布于|发布|回复于|编辑于|看过|读过|听过|有用|只看该作者|来自|属地|楼|发表|\b(?:posted|wrote|replied|said|joined|edited)\b)",
    re.IGNORECASE,
)
"""Words in the line above a post of a thread, beside its date."""

N_POSTS = 3
"""Least number of such lines in a thread."""

FIELD = re.compile(
    r"(?:joined|join date|registered|member since|messages|posts|location|reaction score|reactions?|likes(?: received)?"
    r"|best answers|trophy points|reputation|last edited by"
    r"|注册时间|注册日期|最后登录|帖子|精华|积分|在线时间|註冊時間)"
    r"\s*[:：].{0,60}",
    re.IGNORECASE,
)
"""A field of the user beside a post, as software of forums writes it."""

OF_USERS = frozenset(
    (
        "joined",
        "join date",
        "registered",
        "member since",
        "posts",
        "messages",
        "reaction score",
        "注册时间",
        "积分",
    )
)
"""Fields of which one at least is beside posts; places and counters also occur in catalogues."""

RIGHTS = re.compile(
    r"版权所有|举报电话|公网安备|ICP备|icp证|许可证(?:编)?号|备案号|all rights reserved|copyright ©|©\s*(?:19|20)\d\d",
    re.IGNORECASE,
)
"""Statements in the footer of a site."""

RECORD = re.compile(
    r"(?:作\s*者|作者单位|作者简介|刊\s*名|英文刊名|期刊|年，卷\(期\)|卷\(期\)|分类号|中图分类号|机标分类号|机标关键词|关键词|基金项目|收稿日期|在线出版日期|本文链接|文章编号|页\s*码|页\s*数|doi|issn|isbn|cn"
    r"|authors?|affiliations?|journal|volume|issue|pages?|keywords?|received|accepted|subject|citation|publisher|classification)\s*[:：]",
    re.IGNORECASE,
)
"""Fields of a bibliographic record."""

N_FIELDS = 4
"""Least number of fields that make a record."""

ENDING = re.compile(r"[。！？!?]|\.$")

N_HEAD, N_SENTENCES = 12, 2
"""The lines below a headline end with the second sentence, and are at most twelve."""

LEAST_SENTENCE = 40
"""Least characters of a sentence of a text, and of a caption that is repeated."""

MAX_DATED = 4
"""Most lines with a date of a text that is no chronicle."""

N_REPEATS = 3
"""Least number of equal lines of a gallery."""

MAX_LINE = 160
"""Longest line that is removed."""


def trim(text: str) -> str:
    """Return a text without the lines at its ends that are not its own.

    A text keeps all lines if it has no prose, or if all its prose is credits and notices.
    """
    lines = text.split("\n")
    full = [i for i, line in enumerate(lines) if line.strip()]
    prose = [i for i in full if prose_of(lines[i].strip())]
    first = next((i for i in prose if not _credit(lines[i])), None)
    last = next((i for i in reversed(prose) if not _notice(lines[i])), None)
    if first is None or last is None:
        return text
    dropped = {i for i in full if ANYWHERE.fullmatch(_bare(lines[i]))}
    head = [i for i in full if i < first]
    dropped |= {i for i in head if _furniture(lines[i])}
    dropped |= _below_headline(lines, full)
    dropped |= _repeats(lines, full)
    dropped |= {
        i for i in full[full.index(first) : full.index(first) + 3] if ORIGINAL.fullmatch(_bare(lines[i]))
    }
    dropped |= _buttons(lines, full) | _record(lines, full)
    tail = [i for i in full if i > last]
    dropped |= {i for i in tail if _notice(lines[i]) and not SIGNED.fullmatch(_bare(lines[i]))}
    dropped |= {i + 1 for i in dropped if i + 1 < len(lines) and not lines[i + 1].strip()}
    return "\n".join(line for i, line in enumerate(lines) if i not in dropped)


def _below_headline(lines: list[str], full: list[int]) -> set[int]:
    """Positions of bylines, dates and buttons below the headline of a text, up to its second sentence: the first may be
    a summary.

    A text with more dated lines is a chronicle, whose dates are text.
    """
    dropped: set[int] = set()
    n_sentences, has_headline = 0, False
    for i in full[:N_HEAD]:
        n_sentences += len(lines[i]) >= LEAST_SENTENCE and ENDING.search(lines[i].strip()) is not None
        if n_sentences == N_SENTENCES or (n_sentences and not has_headline):
            break
        is_credit = _credit(lines[i]) and not SIGNED.fullmatch(_bare(lines[i]))
        if is_credit if n_sentences else _furniture(lines[i]):
            dropped.add(i)
        has_headline = True
    n_dated = sum(_dated(_bare(lines[i])) for i in full)
    return dropped if n_dated <= MAX_DATED else set()


def _repeats(lines: list[str], full: list[int]) -> set[int]:
    """Positions of lines that repeat the line before, as the captions of a gallery do, if there are three at least."""
    dropped: set[int] = set()
    run: list[int] = []
    for i in full:
        if (
            run
            and lines[i] == lines[run[0]]
            and len(lines[i]) >= LEAST_SENTENCE
            and not ENDING.search(lines[i])
        ):
            run.append(i)
        else:
            run = [i]
        if len(run) >= N_REPEATS:
            dropped.update(run[1:])
    return dropped


def _buttons(lines: list[str], full: list[int]) -> set[int]:
    """Positions of lines of buttons and of lines above posts, with the counters beside them.

    A button is several on one line, or one whose line occurs again, or one of several words; a single word may be a
    heading.
    """
    found = {
        i: BUTTON.findall(_bare(lines[i]))
        for i in full
        if len(lines[i]) <= 80 and BUTTONS.fullmatch(_bare(lines[i]))
    }
    first = Counter(names[0] for names in found.values())
    dropped = {
        i
        for i, names in found.items()
        if len(names) > 1 or first[names[0]] > 1 or (len(names[0]) > 3 and not names[0].isascii())
    }
    posts = [i for i in full if len(lines[i]) <= 80 and _is_post_line(lines[i])]
    if len(posts) >= N_POSTS:
        dropped.update(posts)
    fields = [i for i in full if len(lines[i]) <= 80 and FIELD.fullmatch(_bare(lines[i]))]
    names = {_bare(lines[i]).replace("：", ":").partition(":")[0].lower() for i in fields}
    if len(fields) >= max(N_POSTS, 2 * len(names)) and names & OF_USERS:
        dropped.update(fields)
    small = found.keys() | {i for i in full if lines[i].strip().isdigit()}
    for pairs in (pairwise(full), pairwise(reversed(full))):
        for before, i in pairs:
            if i in small and before in dropped:
                dropped.add(i)
    return dropped


def _is_post_line(line: str) -> bool:
    has_year = "20" in line or "19" in line  # every date has one, and most lines have none
    return has_year and all(p.search(line) for p in (DATE, POSTED)) and ENDING.search(line) is None


def _record(lines: list[str], full: list[int]) -> set[int]:
    """Positions of the lines of a bibliographic record: its fields, and values below names without one."""
    fields = [k for k, i in enumerate(full) if len(lines[i]) <= 200 and RECORD.match(_bare(lines[i]))]
    if len(fields) < N_FIELDS or fields[-1] - fields[0] > 4 * len(fields):
        return set()
    dropped = set()
    for k in fields:
        dropped.add(full[k])
        alone = RECORD.fullmatch(_bare(lines[full[k]])) is not None
        if alone and k + 1 < len(full) and k + 1 not in fields and not prose_of(lines[full[k + 1]].strip()):
            dropped.add(full[k + 1])
    return dropped


def _bare(line: str) -> str:
    return line.strip(" \t\u3000\u00a0•*-【[】]")


def _furniture(line: str) -> bool:
    """Whether a line before or behind the sentences of a text is boilerplate, a date, or a credit."""
    bare = _bare(line)
    return len(bare) <= 100 and (ENDS.fullmatch(bare) is not None or _credit(line) or _dated(bare))


def _credit(line: str) -> bool:
    bare = _bare(line)
    if len(bare) <= MAX_LINE and STAMP.fullmatch(bare) and not ENDING.search(bare) and not KEPT.search(bare):
        return True
    return len(bare) <= 80 and (
        CREDITS.fullmatch(bare) is not None or ORIGINAL.fullmatch(bare) is not None or _dated(bare)
    )


def _dated(bare: str) -> bool:
    """Whether a line is a date, with a source or an author at most; the dates of laws and lines of code are not."""
    return (
        len(bare) <= 80
        and DATE.search(bare) is not None
        and KEPT.search(bare) is None
        and len(FILLER.sub("", DATE.sub("", bare))) <= 16
    )


def _notice(line: str) -> bool:
    bare = _bare(line)
    return len(bare) <= MAX_LINE and (
        _furniture(line) or NOTICE.match(bare) is not None or RIGHTS.search(bare) is not None
    )
