# ruff: noqa: E501  # a page or line of a case stands on one line
"""Lines that are not a text's own go from its ends; everything else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.extraction.main_text import parse, text_of
from stages.extraction.trim import trim

ZH = "城市交通系统的改善需要长期规划，也需要稳定的资金来源，这一点在许多城市的经验中都得到了证实。"
EN = "The committee met on Tuesday to discuss the new transport plan, which will cost four million dollars over three years."

LINES = [
    ZH, EN, "", " ", "标题", "来源：新华社", "版权所有：某某市人民政府办公厅，未经书面授权不得以任何方式转载。", "2024-05-08 23:23", "广告", "回复 举报",
    "作者：张三，一位长期研究城市交通的学者，他认为这一问题并不简单。", "Copyright © 2020 Example. All rights reserved worldwide.", "关键词：", "12",
    "（原标题：城市交通的出路）", "Joined: 2 Mar 2019 Posts: 12",
]  # fmt: skip
"""Prose, credits, notices, buttons, blank lines."""


@pytest.mark.parametrize(
    "line",
    [
        "2024-05-08 23:23", "2021年3月5日 10:20 来源：新华网", "发布时间：2020/07/04 12:10　浏览：1024 次", "来源：人民日报",
        "作者：张三", "By Jane Doe", "Posted on February 3rd, 2020 by Jane", "March 5, 2021 | 4 min read", "3 Mar 2021, 10:15 GMT",
        "（原标题：城市交通的出路）", "分享到：", "字号", "Tags: transport, city",
    ],
)  # fmt: skip
def test_bylines_go_from_the_head(line: str) -> None:
    """Dates, sources, authors and buttons before the first sentence are removed."""
    assert trim(f"标题\n\n{line}\n\n{ZH}\n\n{EN}") == f"标题\n\n{ZH}\n\n{EN}"


@pytest.mark.parametrize(
    "line",
    [
        "责任编辑：李四", "(责编：王五、赵六)", "【编辑:孙七】", "本文编辑：周八", "校对 | 吴九", "来源：新华社", "（原标题：城市交通的出路）",
        "免责声明：本文来自网络，版权归原作者所有，如有侵权请联系删除。", "未经授权，不得转载。", "特别声明：以上内容仅代表作者本人观点。",
        "更多精彩内容，请关注我们的公众号。", "上一篇：旧事", "版权所有 © 某某网", "京ICP备12345678号", "Copyright © 2020 Example. All rights reserved.",
        "Follow us on Twitter for more news.", "This article was originally published on example.org.", "Share this", "Back to top",
    ],
)  # fmt: skip
def test_credits_and_notices_go_from_the_tail(line: str) -> None:
    """Editors, sources, notices of rights and invitations behind the last sentence are removed, sentences or not."""
    assert trim(f"{ZH}\n{EN}\n{line}").strip() == f"{ZH}\n{EN}"


@pytest.mark.parametrize(
    "line",
    [
        "2011年7月26日 国务院令第601号公布", "第三十八条 本办法自2005年1月1日起施行。", "2023年5月1日", "某某市人民政府", "此致敬礼", "By the end of this section, you will be able to:",
        "编辑部的故事还在继续。", "来源不明的数据不能用。", "他关注的是城市。", "1.5 kg", "表 1：2020 年 5 月 1 日的人口", "支持管理员",
    ],
)  # fmt: skip
def test_lines_of_the_text_stay(line: str) -> None:
    """Dates of laws, signatures of letters, sentences and headings stay at the end and between paragraphs."""
    assert line in trim(f"{ZH}\n{line}\n{EN}\n{line}").split("\n")[1]
    assert trim(f"{ZH}\n{EN}\n{line}").endswith(line)


@pytest.mark.parametrize(
    "text",
    [
        "版权所有：某某市人民政府办公厅，未经书面授权不得以任何方式转载，违者将依法追究责任。",
        "首页\n\n免责声明：本站所有内容均来自网络，版权归原作者所有，如有侵权请联系我们删除，谢谢合作。\n\n京ICP备12345678号",
        "This article was originally published on example.org and may not be copied without a licence.",
    ],
)
def test_a_text_that_is_only_a_notice_stays(text: str) -> None:
    """Without a line of its own a text keeps what it has, so that the quality rules can see it."""
    assert trim(text) == text


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_any_order_of_lines(lines: list[str]) -> None:
    """Trimming never fails, and only removes lines."""
    rest = iter(lines)
    assert all(line in rest for line in trim("\n".join(lines)).split("\n") if line)


def test_a_credit_between_paragraphs_stays() -> None:
    """A line that names an author is removed only near an end."""
    assert "作者：张三" in trim(f"{ZH}\n作者：张三\n{EN}")


def test_advertisement_marks_go_anywhere() -> None:
    """A line that says only that an advertisement follows is never text."""
    assert trim(f"{ZH}\n广告\n{EN}\nAdvertisement\n{ZH}") == f"{ZH}\n{EN}\n{ZH}"


@pytest.mark.parametrize(
    "posts",
    [
        [("张三 发表于 2024-4-5 23:20:45 | 只看该作者", "回复 举报"), ("李四 发表于 2024-4-6 11:52:24", "回复 举报"), ("王五 发表于 2024-4-7 11:32:04", "回复 举报")],
        [("5254 有用 张三 看过 2024-04-09 09:36:18", "赞同 12 · 添加评论"), ("3302 有用 李四 看过 2024-04-07 02:34:58", "赞同 3 · 添加评论"), ("17 有用 王五 看过 2024-04-07 12:34:58", "赞同 1 · 添加评论")],
        [("Jane posted on 2021-03-05 10:15", "Reply Quote"), ("Joe replied on 2021-03-06 08:01", "Reply Quote"), ("Ann wrote on 2021-03-07 22:40", "Reply Quote")],
        [("沙发 2024-4-5 回复", "积分"), ("板凳 2024-4-6 回复", "积分"), ("地板 2024-4-7 回复", "积分")],
    ],
)  # fmt: skip
def test_lines_around_posts_are_no_text(posts: list[tuple[str, str]]) -> None:
    """Names with dates above posts, and buttons below them, as forums and answer sites write them."""
    text = "\n".join(f"{above}\n{ZH}\n{below}\n128" for above, below in posts)
    assert trim(text).split() == [ZH] * len(posts)


def test_dates_of_a_schedule_and_single_words_stay() -> None:
    """A list of dates that no word of a forum accompanies, and a heading that is also the name of a button."""
    dates = "\n".join(f"2024-05-0{i} 09:00 开幕式第{i}场" for i in range(1, 5))
    assert trim(f"{ZH}\n{dates}\n{EN}") == f"{ZH}\n{dates}\n{EN}"
    assert "评论" in trim(f"{ZH}\n评论\n{EN}")


def test_a_bibliographic_record_is_no_text() -> None:
    """The fields of a record beside an abstract are removed; fewer than four fields are not a record."""
    record = "作　者：\n张三\n作者单位：\n某某大学\n刊　名：\n学术交流\n关键词：\n媒体"
    assert trim(f"{ZH}\n{record}\n{EN}").split("\n") == [ZH, EN]
    assert "关键词" in trim(f"{ZH}\n关键词：媒体\n{EN}")


PAGE = "<html><head><title>{title}</title></head><body>{body}</body></html>"
TEXT = f"<div class=body>{f'<p>{ZH}</p>' * 4}</div>"


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("城市交通的出路_某某网", f"<div><h1>城市交通的出路</h1></div>{TEXT}"),
        ("城市交通的出路 - 某某网", f"<div class=top><div class=tit>城市交通的出路</div></div>{TEXT}"),
        ("城市交通的出路", f"<header><h1><a href=/>某某网</a></h1></header><h1>城市交通的出路</h1>{TEXT}"),
        ("城市交通的出路", f"<div class=body><h1>城市交通的出路</h1>{f'<p>{ZH}</p>' * 4}</div>"),
        ("某某网 | 城市交通的出路", f"<div><span>城市交通的出路</span></div>{TEXT}"),
    ],
)
def test_the_title_is_the_first_line_once(title: str, body: str) -> None:
    """The heading of a page is in its text, wherever it stands, and once."""
    found = text_of(parse(PAGE.format(title=title, body=body)))
    assert found.strip().startswith("城市交通的出路\n") and found.count("城市交通的出路") == 1


def test_the_name_of_a_site_is_no_title() -> None:
    """A heading that is not part of `<title>`, or only a little of it, is not put before the text."""
    body = f"<div><h1>某某网</h1></div>{TEXT}"
    assert (
        text_of(parse(PAGE.format(title="城市交通的出路在于规划和资金_某某网", body=body)))
        .strip()
        .startswith(ZH)
    )


def test_a_short_text_is_preferred_to_the_feed_beside_it() -> None:
    """The text below the heading is the page's, however long the summaries of other pages are."""
    item = "<div class=item><h3><a href=/x>另一条新闻的标题在这里</a></h3><p>{}</p></div>"
    feed = "<div class=stream>" + item.format(EN * 2) * 12 + "</div>"
    text = f"<div class=art><h1>城市交通的出路</h1><p>{ZH}</p><p>{ZH}</p><p>{ZH}</p></div>"
    found = text_of(parse(PAGE.format(title="城市交通的出路", body=f"<div>{text}{feed}</div>")))
    assert found.count(ZH) == 3 and EN not in found


def test_the_opening_post_of_a_thread_is_text() -> None:
    """A post that stands apart, above many answers, belongs to the thread."""
    answers = "".join(f"<div class=answer><p>回答{i}：{ZH * 2}</p></div>" for i in range(9))
    body = f"<div><h1>请教一个问题</h1><div class=opening><p>问题：{ZH}{EN}</p></div><div class=list>{answers}</div></div>"
    found = text_of(parse(PAGE.format(title="请教一个问题", body=body)))
    assert "问题：" in found and all(f"回答{i}：" in found for i in range(9))


@pytest.mark.parametrize(
    "label", ["markdown-toc", "menu-text", "CopyrightRichText", "share-story", "rank1 body"]
)
def test_a_text_with_an_unlucky_class_is_text(label: str) -> None:
    """A word of menus in the class of an element does not remove its paragraphs."""
    body = f"<div>{f'<p>{EN}</p>' * 9}<div class='{label}'>{f'<p>{ZH}</p>' * 3}</div></div>"
    assert text_of(parse(PAGE.format(title="x", body=body))).count(ZH) == 3


def test_instructions_to_a_server_are_no_text() -> None:
    """What a server should have replaced is cut; an unfinished one stays."""
    assert "page" not in text_of(
        parse(f"<%@ page language=java %><p>{ZH * 3}</p><%@include file=page.jsp %>")
    )
    assert "a <% b" in text_of(parse(f"<p>{ZH * 3} a <% b</p>"))


@pytest.mark.parametrize(
    "line", ["By Jane Doe", "Updated 5:27 am CST, Wednesday, November 20, 2019", "11/19/19 06:56 AM EST"]
)
def test_bylines_go_from_below_a_long_headline_and_its_summary(line: str) -> None:
    """A headline of 50 columns and a summary are prose by weight, yet the byline between them and the text goes."""
    headline = "Amnesty says that more than one hundred protesters were killed in the unrest of the week"
    summary = "The organisation counted deaths in twenty-one cities."
    assert trim("\n\n".join([headline, line, summary, line, EN, ZH])) == "\n\n".join(
        [headline, summary, EN, ZH]
    )


def test_dates_below_a_headline_stay_in_a_chronicle_and_a_signature_stays() -> None:
    """Where most lines are dated they are text; a notice of one sentence keeps its date of signature."""
    dated = [f"2024-05-0{i} 09:00" for i in range(1, 7)]
    assert trim("\n".join(["大事记", ZH, *dated, EN])).count("2024") == 6
    assert "2018年12月21日" in trim(f"停水通知\n{ZH}\n2018年12月21日")


@pytest.mark.parametrize(
    "line",
    [
        "Advert", "Sharing is caring!", "Photo: Jane Doe, AP", "(Image: GETTY )", "READ MORE: How the plan was made", "Click here to get our app",
        "Associated Press writer Jane Doe contributed to this report.", "(Reporting by Jane Doe, editing by John Roe.)",
    ],
)  # fmt: skip
def test_lines_that_are_never_text_go_from_anywhere(line: str) -> None:
    """Advertisements, credits of pictures and reporters, and links to other articles, between paragraphs as well."""
    assert trim(f"{EN}\n{line}\n{ZH}") == f"{EN}\n{ZH}"


@pytest.mark.parametrize(
    "line",
    [
        "image: nginx:1.25", "  image: registry.example.org/app", "images/photo.png", "video: lesson-3.mp4", "Image: nginx",
        "See also: the chapter on loops", "Related: RFC 2119",
    ],
)  # fmt: skip
def test_keys_of_settings_and_references_stay(line: str) -> None:
    """A key of a configuration file is no credit of a picture, and manuals refer to other chapters."""
    assert line in trim(f"{EN}\n{line}\n{ZH}").split("\n")
    assert "@Override" in trim(f"{EN}\n{line}\n{ZH}\n@Override\nvoid run() {{")


def test_captions_of_a_gallery_are_written_once() -> None:
    """Equal lines in a row are one, unless they are sentences, of which verse and tests repeat some."""
    caption = "Scene of the play at the welcome festival in the old theatre"
    assert trim("\n\n".join([EN, *[caption] * 4, ZH])).count(caption) == 1
    assert trim("\n\n".join([EN, *[ZH] * 4])).count(ZH) == 4


def more(heading: str, n: int, link: str = "/{0}") -> str:
    """A heading and a list of other pages, each with a headline and a sentence."""
    items = "".join(
        f"<div><h4><a href='{link.format(i)}'>Headline number {i} of the list</a></h4><p>{EN[:60]}</p></div>"
        for i in range(n)
    )
    return f"<h3>{heading}</h3><div>{items}</div>"


@pytest.mark.parametrize(
    "heading",
    [
        "More in Sports",
        "Most popular",
        "You may also like",
        "Related stories",
        "相关阅读",
        "热门文章",
        "猜你喜欢",
    ],
)
def test_lists_of_other_pages_below_a_heading_go(heading: str) -> None:
    """What follows such a heading goes, whether or not the classes of the page say so."""
    body = f"<article><h1>The plan of the city</h1>{f'<p>{EN} {ZH}</p>' * 4}{more(heading, 3)}</article>"
    found = text_of(parse(PAGE.format(title="The plan of the city", body=body)))
    assert "Headline" not in found and heading not in found and found.count(EN) == 4


def test_a_feed_without_a_heading_goes_and_headings_that_are_anchors_stay() -> None:
    """Five cards or more of other pages are no text; the sections of a document may link to themselves."""
    prose = f"<h1>The plan</h1>{f'<p>{EN} {ZH}</p>' * 8}"
    cards = PAGE.format(title="The plan", body=f"<div>{prose}<div>{more('', 6)}</div></div>")
    anchors = PAGE.format(title="The plan", body=f"<div>{prose}<div>{more('', 6, '#s{0}')}</div></div>")
    assert "Headline" not in text_of(parse(cards))
    assert text_of(parse(anchors)).count("Headline") == 6


@pytest.mark.parametrize(
    "heading", ["34 Responses to “The plan”", "Comments (12)", "网友评论", "12 Comments", "Leave a comment"]
)
def test_comments_below_a_heading_go(heading: str) -> None:
    """Comments without a class are known by their heading, and may be longer than the text."""
    comments = "".join(f"<li><b>reader{i}</b><p>{EN}</p></li>" for i in range(8))
    body = f"<div><h1>The plan</h1><p>{ZH}{ZH}{ZH}</p><p>{ZH}</p><h3>{heading}</h3><ol>{comments}</ol></div>"
    found = text_of(parse(PAGE.format(title="The plan", body=body)))
    assert "reader" not in found and found.count(ZH) == 4


@pytest.mark.parametrize("kind", ["lm-grid--with-right-rail", "has-sidebar", "l-sidebar-fixed"])
def test_an_element_with_the_title_is_no_sidebar(kind: str) -> None:
    """A class may name what is beside the text."""
    body = f"<div><div class='{kind}'><h1>The plan</h1>{f'<p>{EN} {ZH}</p>' * 4}</div><div><p>{EN}</p></div></div>"
    assert text_of(parse(PAGE.format(title="The plan", body=body))).count(ZH) == 4


def test_rows_of_a_table_are_text_whatever_their_class() -> None:
    """Details such as `player` are labels of elements, not of table rows."""
    rows = "".join(f"<tr class='player-{i}'><td>{i}<td>Driver {i}<td>{500 - i}</tr>" for i in range(9))
    body = f"<div><h1>The plan</h1><p>{EN} {ZH}</p><p>{ZH}</p><table>{rows}</table></div>"
    assert "7\t\tDriver 7\t\t493" in text_of(parse(PAGE.format(title="The plan", body=body)))


@pytest.mark.parametrize(
    "heading",
    [
        "Comments",
        "评论",
        "Add comments to your code",
        "Related work",
        "Recommended dosage",
        "Most popular languages",
    ],
)
def test_sections_of_a_text_with_such_words_stay(heading: str) -> None:
    """Manuals have a section on comments, papers one on related work, and both have links."""
    body = f"<div><h1>The plan</h1><p>{ZH}{ZH}</p><p>{ZH}</p>{more(heading, 2)}<h3>End</h3><p>{ZH}</p></div>"
    found = text_of(parse(PAGE.format(title="The plan", body=body)))
    assert heading in found and found.count("Headline") == 2


@pytest.mark.parametrize(
    "line",
    [
        "Updated Nov 19, 9:41 AM;Posted Nov 18, 8:19 PM", "Last Updated : Nov 20, 2019 01:41 PM IST | Source: Wire.example", "Text size",
        "Image 1 of 5", "Image copyright Example Images", "Share All sharing options for: The new transport plan",
    ],
)  # fmt: skip
def test_stamps_and_labels_of_pictures_go(line: str) -> None:
    """Stamps without a year, and labels of pictures and players, are removed below a headline."""
    assert trim(f"The new plan\n\n{line}\n\n{EN}\n\n{EN} Again.") == f"The new plan\n\n{EN}\n\n{EN} Again."


@pytest.mark.parametrize(
    "line",
    [
        "By signing up, you agree to our Privacy Policy and to receive emails.", "Sign up for our daily newsletter", "Click to expand...",
        "Get more stories like this in your inbox!", "JUST WATCHED",
    ],
)  # fmt: skip
def test_invitations_go_from_the_middle(line: str) -> None:
    """Invitations and buttons between paragraphs are removed."""
    assert trim(f"{EN}\n\n{line}\n\n{EN} Again.") == f"{EN}\n\n{EN} Again."


@pytest.mark.parametrize(
    "line",
    [
        "Jane Doe is a senior political reporter for the Example Times.", "Write to Jane Doe at jane.doe@example.org",
        "Have a tip? Jane Doe may be reached at jane@example.org.",
    ],
)  # fmt: skip
def test_who_wrote_it_goes_from_the_end(line: str) -> None:
    """A line about the reporter or how to reach them is removed behind a text, but is text within it."""
    assert trim(f"{EN}\n\n{line}").strip() == EN
    assert line in trim(f"{EN}\n\n{line}\n\n{EN} Again.")


def test_fields_of_users_go() -> None:
    """Fields beside the posts of a thread are removed; a list of fields that occur once is text."""
    posts = [f"{EN} {n}." for n in range(3)]
    thread = "\n\n".join(
        f"Joined: 4. Jul 2012, 16:0{n}\nPosts: {n}\n\n{post}" for n, post in enumerate(posts)
    )
    assert trim(thread) == "\n\n".join(posts)
    facts = f"Location: Berlin\nReputation: good\nMessages: by e-mail\n\n{EN}"
    assert trim(facts) == facts
