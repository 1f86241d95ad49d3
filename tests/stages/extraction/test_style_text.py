# ruff: noqa: E501  # a style sheet or script stands on one line
"""Style sheets and scripts that a page shows as text."""

import pytest

from stages.extraction.main_text import text_of
from stages.extraction.page_tree import parse

ZH = "本次会议讨论了城市交通的规划，与会者认为应当先修公共汽车道，然后再考虑轨道交通。"
EN = "The committee met on Tuesday to discuss the new transport plan, which will cost four million dollars."

LEAKS = {
    "wps": '@font-face{font-family:"Times New Roman";}@font-face{font-family:宋体;}p.MsoNormal{mso-style-name:正文;mso-style-parent:"";margin:0pt;text-align:justify;}',
    "word": '/* Style Definitions */ table.MsoNormalTable {mso-style-name:普通表格; mso-tstyle-rowband-size:0; mso-style-parent:""; font-size:10.5pt;}',
    "smart tags": "st1\\:*{behavior:url(#ieooui) }",
    "rule": ".post-title, #main h1 { color: #333; font-size: 14px }",
    "rule over lines": ".box {<br>  margin: 0 auto;<br>  width: 980px;<br>}",
    "statistics": 'var _hmt = _hmt || []; (function() { var hm = document.createElement("script"); })();',
    "advertisement": "(adsbygoogle = window.adsbygoogle || []).push({});",
    "script over lines": "jQuery(document).ready(function($) {<br>  $('.a').hide();<br>});",
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
@pytest.mark.parametrize("prose", [ZH, EN])
def test_style_sheets_and_scripts_are_no_text(leak: str, prose: str) -> None:
    """They are cut before, between and within paragraphs."""
    html = f"<div><p>{prose}</p><p>{leak}</p><p>{prose}</p><p>{prose}</p></div>"
    assert text_of(parse(html)).split("\n\n") == [prose] * 3


@pytest.mark.parametrize(
    "html",
    [
        f"<p>{ZH}</p><p>下面的样式表给标题上色：</p><p>h1 {{ color: red; }}</p><p>{ZH}</p>",
        f"<p>{EN}</p><p>In JavaScript one writes</p><p>document.write('a');</p><p>{EN}</p>",
        f"<p>{EN}</p><pre>h1 {{ color: red; }}</pre><p>{EN}</p>",
        f"<p>{EN}</p><p>The set is A = {{x: x is even}} in the usual notation.</p><p>{EN}</p>",
        "<p>p.MsoNormal{margin:0pt;}</p>",
    ],
)
def test_a_page_about_them_keeps_them(html: str) -> None:
    """So do sets of mathematics, code, and pages without other text."""
    assert "{" in text_of(parse(html)) or "document.write" in text_of(parse(html))
