"""Comments and strings of a source file by the lexical rules of its language's family: C, shell, SQL, TeX and others.

One regular expression per family reads strings and comments in one pass: a mark within a string opens no comment.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_STRINGS = r"(?P<string>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
_TICKS = r"|(?P<template>`(?:\\.|[^`\\])*`)"
_DOCSTRING = r"(?P<doc>\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z))|"

FAMILIES = {
    "c": re.compile(rf"(?P<comment>/\*.*?(?:\*/|\Z)|//[^\n]*)|{_STRINGS}{_TICKS}", re.S),
    "hash": re.compile(rf"{_DOCSTRING}(?P<comment>(?<![\w$&{{])#[^\n]*)|{_STRINGS}", re.S),
    "dashes": re.compile(rf"(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z)|\{{-.*?(?:-\}}|\Z))|{_STRINGS}", re.S),
    "percent": re.compile(r"(?P<comment>(?<!\\)%[^\n]*)"),
    "semicolon": re.compile(r"(?P<comment>;[^\n]*)|(?P<string>\"(?:\\.|[^\"\\])*\")", re.S),
    "markup": re.compile(r"(?P<comment><!--.*?(?:-->|\Z))|(?P<string>\"[^\"<>\n]*\"|'[^'<>\n]*')", re.S),
}
"""Family -> strings and comments. doc: strings in three quotes, which OpenCoder counts as comments."""

EXTENSIONS = {
    "c": "c h cc cpp cxx hh hpp java js mjs cjs jsx ts tsx go rs cs swift kt kts scala php css scss less dart groovy "
    "cu proto m mm v sv zig d json json5 jsonc glsl",
    "hash": "py pyi pyx sh bash zsh rb pl pm r yaml yml toml tcl awk mk cmake ex exs jl nim ps1 cr coffee dockerfile "
    "conf cfg properties gitignore",
    "dashes": "sql lua hs elm ada adb ads vhd vhdl applescript",
    "percent": "tex sty cls bib erl hrl mat pro",
    "semicolon": "lisp lsp cl el clj cljs scm ss rkt asm s ini",
    "markup": "html htm xhtml xml svg vue xsl xslt jsp aspx md rss",
}
_FAMILY = {extension: family for family, names in EXTENSIONS.items() for extension in names.split()}

_OPENS = {
    "c": re.compile(r"^[ \t]*(?://|/\*|\*[ /])", re.M),
    "hash": re.compile(r"^[ \t]*#(?!include|define|if|else|endif|pragma|undef)", re.M),
    "dashes": re.compile(r"^[ \t]*--[ \t]?\w", re.M),
    "percent": re.compile(r"^[ \t]*%", re.M),
    "semicolon": re.compile(r"^[ \t]*;+[ \t]", re.M),
    "markup": re.compile(r"^[ \t]*<", re.M),
}
"""Lines that begin as a comment of the family, or as markup."""


class CodeParts(NamedTuple):
    """code: the text without its comments. comments: each with its marks. strings: contents, without quotes."""

    code: str
    comments: list[str]
    strings: list[str]


def family_of(extension: str, text: str) -> str:
    """Return the family of a file: of its extension, else the one as which most lines begin; C if none does."""
    if extension in _FAMILY:
        return _FAMILY[extension]
    counts = {family: len(pattern.findall(text)) for family, pattern in _OPENS.items()}
    return max(counts, key=lambda family: counts[family])  # the first of several, C, where all are 0


def split(text: str, family: str) -> CodeParts:
    """Separate the comments and strings of a text from its code."""
    code: list[str] = []
    comments: list[str] = []
    strings: list[str] = []
    at = 0
    for found in FAMILIES[family].finditer(text):
        if found.lastgroup in ("comment", "doc"):
            code.append(text[at : found.start()])
            comments.append(found[0])
            at = found.end()
        else:
            strings.append(found[0][1:-1])
    return CodeParts("".join([*code, text[at:]]), comments, strings)
