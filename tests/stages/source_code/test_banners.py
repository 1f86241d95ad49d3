"""Copyright banners: comments about rights are spans, all else of a file is left as it is."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.spans import apply_spans
from stages.source_code.banners import KIND, STAGE, find_banners, find_blocks, measure
from stages.source_code.comments import FAMILIES

APACHE = """Copyright 2018 The Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied."""
CODE = {"py": "import os\n\nprint(os.name)\n", "c": "#include <stdio.h>\nint x = 1;\n", "sql": "select 1;\n"}


def comment(text: str, mark: str) -> str:
    """Each line behind a mark."""
    return "".join(f"{mark} {line}".rstrip() + "\n" for line in text.split("\n"))


def without(text: str, name: str) -> str:
    """A file without its banners."""
    spans = measure(text, f"https://host/{name}")["spans"]
    assert isinstance(spans, list)
    return apply_spans(text, [(span["start"], span["end"], span["kind"]) for span in spans])


@pytest.mark.parametrize(
    ("name", "banner"),
    [
        ("a.py", comment(APACHE, "#")),
        ("a.py", f'"""{APACHE}\n"""\n'),
        ("a.c", "/*\n" + comment(APACHE, " *") + " */\n"),
        ("a.c", comment(APACHE, "//")),
        ("a.c", "/* Copyright (c) 2001 - 2008, A. Body. All rights reserved. */\n"),
        ("a.sql", comment(APACHE, "--")),
        ("a.c", "// 版权所有 © 2020 某公司，保留所有权利。\n"),
        ("a.c", "// SPDX-License-Identifier: MIT\n"),
    ],
)
def test_a_banner_is_removed_whole_and_the_code_is_kept(name: str, banner: str) -> None:
    """Before the code and between functions, in the comments of each family."""
    code = CODE[name.partition(".")[2]]
    assert without(f"{banner}\n{code}", name).strip() == code.strip()
    if not banner.startswith('"""'):  # strings in three quotes are comments at the top alone
        assert without(f"{code}\n{banner}\n{code}", name).split() == (code + code).split()


def test_what_programs_read_is_kept() -> None:
    """A first line for the shell, an encoding and a build constraint are no part of a banner."""
    head = "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n"
    assert without(f"{head}{comment(APACHE, '#')}\n{CODE['py']}", "a.py").startswith(f"{head}\nimport os")
    go = "// Copyright 2017 A. Body. All rights reserved.\n\n//go:build ignore\n\npackage main\n"
    assert without(go, "a.go") == "//go:build ignore\n\npackage main\n"


def test_a_description_beside_the_banner_is_kept_with_the_marks_of_its_comment() -> None:
    """The paragraphs from the first to the last one about rights are removed; the comment is still one."""
    text = f"/**\n * Class for complex numbers.\n *\n{comment(APACHE, ' *')} */\n{CODE['c']}"
    left = without(text, "a.c")
    assert left == f"/**\n * Class for complex numbers.\n *\n */\n{CODE['c']}"
    assert FAMILIES["c"].match(left)
    text = f"/* Copyright 2020 A. Body.\n *\n * Sorts numbers. */\n{CODE['c']}"
    assert "Sorts numbers. */" in without(text, "a.c")
    assert "Copyright" not in without(text, "a.c")
    assert without(text, "a.c").startswith("/*")


@pytest.mark.parametrize(
    "text",
    [
        'x = "Copyright 2020 A. Body"\n',
        "def add_copyright(page):\n    # adds the copyright information to what is copied\n    return page\n",
        "# 複製時加上版權信息\nadd()\n",
        "# the license key is read from the environment\nkey()\n",
        'def f():\n    """Copyright 2020 A. Body."""\n',
        "x = 1  # Copyright 2020 A. Body\n",
    ],
)
def test_other_comments_and_strings_are_left(text: str) -> None:
    """Code about copyright, comments behind code, and docstrings of functions are no banners."""
    assert measure(text, "https://host/a.py")["spans"] == []


def test_a_banner_before_minified_code_in_its_line() -> None:
    """The code behind a block comment at the top is kept."""
    assert without("/*! normalize.css v3 | MIT License */html{margin:0}", "a.css") == "html{margin:0}"
    assert without("a{b:c}/* MIT License */d{e:f}", "a.css") == "a{b:c}/* MIT License */d{e:f}"


def test_columns_of_a_table() -> None:
    """A row each, spans of one kind within the text, and their share."""
    text = f"{comment(APACHE, '#')}\n{CODE['py']}"
    table = pa.table({"text": [text, CODE["py"]], "url": ["https://host/a.py", None]})
    first, second = STAGE.load(STAGE.config())(table).to_pylist()
    assert [span["kind"] for span in first["spans"]] == [KIND]
    assert first["share"] == pytest.approx((first["spans"][0]["end"]) / len(text), abs=6e-4)
    assert second == {"spans": [], "share": 0.0}


LINES = st.lists(
    st.sampled_from(
        [
            "/*",
            " */",
            "# Copyright 2020 A",
            "// MIT License",
            " * all rights reserved",
            "x = 1",
            "",
            '"""',
            "--",
            "﻿",
        ]
    ),
    max_size=12,
)


@given(LINES, st.sampled_from(sorted(FAMILIES)))
def test_spans_are_ordered_and_contain_nothing_but_comments(lines: list[str], family: str) -> None:
    """For any lines and family: within the text, without overlap, each inside a run of comments."""
    text = "\n".join(lines)
    blocks, at = find_blocks(text, family), 0
    for start, end in find_banners(text, family):
        assert at <= start < end <= len(text)
        assert any(block.start <= start and end <= block.end + 1 for block in blocks)
        at = end
