"""Texts that would run, end an element or begin one if a page took them for more than text."""

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<!--<script>",
    "]]>",
    "{{data}} {{script}} ${1}",
    "&lt;b&gt; &amp; \u2028\u2029 \x00\x1b \ufeff",
    "\"'`\\",
    '=HYPERLINK("http://example.org")',
    "javascript:alert(1)",
]
