"""Messages in the language of the reader: English as the code writes it, or its translation from a catalogue.

Code writes messages in English as f-strings. Errors, logs, records and files keep them so; they are translated where
they are printed. The catalogue (`locale/zh.po`) is keyed by the template of a message, the f-string with its fields by
name:

    {path}: {found:,} rows for {expected:,} documents

A printed message is recognised by its template: the text between the fields is compared, and what is found at the
fields is put into the translation. So no call site carries an id, an error from another process is translated as well,
and a message without translation is printed in English. `scripts/maintenance/messages.py` collects the templates.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("en", "zh")
"""Languages of messages; the first is the one that code is written in."""

VARIABLE = "BICORPUS_LANG"

LEAST_LETTERS = 4
"""Letters outside fields that a template needs for a part of a message, such as the cause of an error, to be translated
by it; a shorter one is a name more often than a message."""

_DEFAULT = ["en"]
_OVERRIDE: ContextVar[str | None] = ContextVar("language", default=None)


def chosen_language(environment: Mapping[str, str]) -> str:
    """Return the language that the environment asks for: BICORPUS_LANG, else the locale as gettext reads it.

    The locale is the first of LC_ALL, LC_MESSAGES and LANG that is set. LANGUAGE, a list, takes precedence unless
    the locale is C. A language without a catalogue is English.
    """
    if wanted := environment.get(VARIABLE):
        return supported(wanted) or "en"
    names = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next((name for name in names if name), "")
    if locale in ("C", "POSIX"):
        return "en"
    wishes = [*environment.get("LANGUAGE", "").split(":"), locale]
    return next((found for wish in wishes if (found := supported(wish))), "en")


def supported(name: str) -> str | None:
    """Return the language of a locale name such as `zh_CN.GB18030`; None where there is no catalogue for it."""
    language = re.split(r"[_.@-]", name.strip().lower())[0]
    return language if language in LANGUAGES else None


def set_language(language: str) -> None:
    """Print messages in a language from here on, in all threads.

    Raises: ValueError for a language that is none of LANGUAGES.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language is {language!r}; expected one of {', '.join(LANGUAGES)}")
    _DEFAULT[0] = language


def language() -> str:
    """Return the language that messages are printed in here."""
    return _OVERRIDE.get() or _DEFAULT[0]


@contextmanager
def in_language(language: str) -> Iterator[None]:
    """Translate into another language inside the block; files of a release are written in English this way."""
    token = _OVERRIDE.set(language)
    try:
        yield
    finally:
        _OVERRIDE.reset(token)


def message(text: str) -> str:
    """Mark a text as a message for the catalogue, and return it as it is: it is translated where it is printed."""
    return text


def t(text: str) -> str:
    """Translate a message, to be printed, into the language of the reader.

    text: one message in English, its fields filled in; several lines are one message if the catalogue has them as one,
    else each is translated on its own. What the catalogue does not have is returned as it is.
    """
    chosen = language()
    if chosen == LANGUAGES[0] or not text:
        return text
    catalogue = load_catalogue(chosen)
    found = catalogue.translate(text)
    if found is None and "\n" in text:
        return "\n".join(catalogue.translate(line) or line for line in text.split("\n"))
    return found or text


def labels(*texts: str) -> list[str]:
    """Translate several short messages, such as the heads of a table."""
    return [t(text) for text in texts]


FIELD = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)(![rsa])?(?::([^{}]*))?\}")
"""A field of a template, or a doubled brace."""

NUMBER = r"[-+]?[\d,.]+%?|nan|-?inf"


@dataclass(frozen=True)
class Template:
    """A message with fields: the pattern of its filled-in forms, and its translation."""

    pattern: re.Pattern[str]
    literals: tuple[str, ...]
    translation: str

    @property
    def weight(self) -> int:
        """Characters outside fields; of two templates that fit a message, the one with more of them is meant."""
        return sum(map(len, self.literals))

    @property
    def letters(self) -> int:
        """Letters outside fields."""
        return sum(c.isalpha() for literal in self.literals for c in literal)


def fields_of(template: str) -> list[str]:
    """Return the names of the fields of a template, in order."""
    return [match[1] for match in FIELD.finditer(template) if match[1]]


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a template with its fields filled in; formats are ignored, as values are text."""
    return FIELD.sub(lambda match: values[match[1]] if match[1] else match[0][0], template)


def compile_template(msgid: str, translation: str) -> Template:
    """Return the pattern that the filled-in forms of a message match, with a group for each field."""
    parts: list[str] = []
    literals, last = [""], 0
    for match in FIELD.finditer(msgid):
        adjoins, follows = FIELD.match(msgid, match.end()), bool(parts) and match.start() == last
        literals[-1] += msgid[last : match.start()]
        last = match.end()
        if match[1]:
            values = _values_of(match[2], match[3])
            if (
                follows and values == ".*?"
            ):  # a remark after a value, such as the name that may have been meant
                values = "(?:[ ;,(].*)?"
            elif adjoins and adjoins[1] and values == ".*?":
                values = "[^;]*"
            parts += [re.escape(literals[-1]), f"(?P<{match[1]}>{values})"]
            literals.append("")
        else:
            literals[-1] += match[0][0]
    literals[-1] += msgid[last:]
    pattern = re.compile("".join([*parts, re.escape(literals[-1])]), re.DOTALL)
    return Template(pattern, tuple(filter(None, literals)), translation)


def _values_of(conversion: str | None, form: str | None) -> str:
    """The pattern of a field's values: a number if its format is that of a number."""
    if form and re.search(r"[,df%]$", form):
        return rf"\s*(?:{NUMBER})"
    return ".+?" if conversion else ".*?"


class Catalogue:
    """Translations by the English message."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        translated = {msgid: text for msgid, text in entries.items() if text}
        self.exact = {fill(m, {}): fill(t, {}) for m, t in translated.items() if not fields_of(m)}
        templates = [compile_template(m, t) for m, t in translated.items() if fields_of(m)]
        self.templates = sorted(templates, key=lambda template: -template.weight)

    def translate(self, text: str, least_letters: int = 0) -> str | None:
        """Return the translation of a message, None if there is none.

        A text `where: message` whose message alone is known keeps `where`: settings and file names stay as they are.
        """
        found = self.exact.get(text)
        if found is not None:
            return found if sum(map(str.isalpha, text)) >= least_letters else None
        for template in self.templates:
            if template.letters < least_letters or not all(part in text for part in template.literals):
                continue
            if match := template.pattern.fullmatch(text):
                values = {name: self.part(value) for name, value in match.groupdict().items()}
                return fill(template.translation, values)
        for colon in re.finditer(": ", text):
            if rest := self.translate(text[colon.end() :], max(least_letters, LEAST_LETTERS)):
                return text[: colon.end()] + rest
        return None

    def part(self, value: str) -> str:
        """Return a value of a field, translated if it is a message itself: the cause of an error, or its remedy.

        Of a list, separated by commas, each item is translated that is a message.
        """
        if " " not in value:
            return value
        if found := self.translate(value, LEAST_LETTERS):
            return found
        items = value.split(", ")
        return value if len(items) == 1 else ", ".join(map(self.part, items))


@functools.cache
def load_catalogue(language: str) -> Catalogue:
    """Return the catalogue of a language."""
    return Catalogue(read_po(catalogue_path(language).read_text("utf-8")))


def catalogue_path(language: str) -> Path:
    """Return the file of a language's messages."""
    return Path(__file__).with_name("locale") / f"{language}.po"


def read_po(text: str) -> dict[str, str]:
    """Return the entries of a gettext .po file, without its header: translations by message, "" for none.

    Of the format, only msgid and msgstr of quoted lines are read; contexts and plurals are not used.
    Source: GNU gettext manual, section 3, "The Format of PO Files".
    """
    entries: dict[str, list[str]] = {}
    msgid, target = "", [""]
    for line in text.splitlines():
        key, _, quoted = line.partition('"') if line.startswith('"') else line.partition(" ")
        if line.startswith("#") or not line.strip():
            continue
        if key == "msgid":
            target = [_unquote(quoted)]
            msgid = ""
        elif key == "msgstr":
            msgid = "".join(target)
            target = entries[msgid] = [_unquote(quoted)]
        else:
            target.append(_unquote(line))
    return {key: "".join(parts) for key, parts in entries.items() if key}


ESCAPES = {"n": "\n", "t": "\t"}


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), quoted.strip()[1:-1])


def system_language() -> str:
    """Return the language that the environment of this process asks for."""
    return chosen_language(os.environ)
