"""Turns of a dialogue, from chat templates, JSON messages, or lines that begin with the name of a speaker."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from stages.turns.words import turn_words

MAX_SPEAKERS = 12
"""Lines with more different names are a list, or a whole play."""

MIN_LINE_SHARE = 0.3
"""Share of the lines that begin with a speaker; chat roles need none, since their answers have any number of lines."""

MIN_SPEAKER_SHARE = 0.8
"""Share of the lines with a label whose label is a speaker; in lists of comments or of terms most occur once."""

MIN_SPOKEN_SHARE = 0.35
"""Share of the turns that ask or have I or you, if no two speakers are known roles; terms and fields have few."""

MAX_FIELD_SHARE = 0.25
"""Share of the turns that begin with a line of numbers only or with a link, likewise."""

MAX_CYCLIC_SHARE = 0.9
"""Three speakers or more who take turns in a fixed cycle for longer are fields of records, or options of questions."""

_TIME = r"[\[(]?\d{1,2}:\d{2}(?::\d{2})?[\])]?"
_LABEL = re.compile(
    rf"(?:{_TIME}[ \t]*)?[-*_#>【\[(（「•]*[ \t]*"
    r"([^\W\d_][^\n:：,，。!?！？;；\"“”|/\\={}()（）\[\]<>]{0,23}?)[ \t]*[*_#】\])）」]*"
    rf"(?:[ \t]*{_TIME})?[ \t]*[:：](?!//)[*_]{{0,2}}"
)
"""A time, marks, the name, marks or a time, a colon."""

_HEAD_CHARS = 80
"""Characters of a line or turn that patterns of its beginning read."""

_NUMBER = re.compile(r"[ \t_#-]*\d{1,2}$")
_FIELD = re.compile(r"\W*\d[\d.,%:/-]*\W*(?:\n|$)|<?https?:|\[[^\]\n]*\]\(")
_SPOKEN = re.compile(r"[？?你您我]|\b(?:i|you|me)\b", re.I)

_TEMPLATES = (
    re.compile(r"<\|im_start\|>[ \t]*(\w+)[^\n]*\n(.*?)(?=<\|im_end\|>|<\|im_start\|>|\Z)", re.S),
    re.compile(
        r"<\|start_header_id\|>[ \t]*(\w+)[ \t]*<\|end_header_id\|>(.*?)(?=<\|eot_id\|>|<\|start_header_id\|>|\Z)",
        re.S,
    ),
    re.compile(
        r"<\|(user|assistant|system|observation|tool|human|bot)\|>(.*?)(?=<\|\w+\|>|</s>|\Z)", re.S | re.I
    ),
)
"""ChatML; Llama 3; Zephyr, Phi and GLM: role and text of each message."""

_INSTRUCTION = re.compile(r"\[INST\](.*?)(?:\[/INST\](.*?))?(?=\[INST\]|\Z)", re.S)
"""Llama 2 and Mistral: what the user writes, and the answer."""

_MARK = re.compile(r"</?s>")

_LISTS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns")
_TEXTS = ("content", "value", "message", "text", "utterance")
_SPEAKERS = ("role", "from", "speaker", "agent", "author")

Said = tuple[str, str]
"""Speaker, empty if unknown, and what he says."""


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """Turns in order, consecutive ones of a speaker joined; n_speakers is 0 if speakers have no names."""

    format: str
    turns: Sequence[str]
    n_speakers: int


def find_turns(text: str) -> Dialogue | None:
    """Find the turns of a dialogue; None if the text is none."""
    for name, find in (("template", _of_template), ("json", _of_json), ("lines", _of_lines)):
        said = _joined(find(text))
        if len(said) > 1:
            speakers = {speaker for speaker, _ in said if speaker}
            return Dialogue(format=name, turns=[turn for _, turn in said], n_speakers=len(speakers))
    return None


def _joined(said: Sequence[Said]) -> list[Said]:
    """Turns with text, those in a row by one speaker joined."""
    turns: list[Said] = []
    for speaker, turn in said:
        if not (turn := turn.strip()):
            continue
        if turns and speaker and speaker == turns[-1][0]:
            turns[-1] = speaker, f"{turns[-1][1]}\n{turn}"
        else:
            turns.append((speaker, turn))
    return turns


def _of_template(text: str) -> list[Said]:
    """Messages of the first chat template whose marks the text has."""
    unspoken = turn_words().unspoken
    if "<|" in text:
        for template in _TEMPLATES:
            if said := [(role.lower(), turn) for role, turn in template.findall(text)]:
                return [(role, turn) for role, turn in said if role not in unspoken]
    if "[/INST]" in text:
        pairs = [(_without_system(ask), answer) for ask, answer in _INSTRUCTION.findall(_MARK.sub("", text))]
        return [message for ask, answer in pairs for message in (("user", ask), ("assistant", answer))]
    return []


def _without_system(ask: str) -> str:
    before, mark, after = ask.partition("<<SYS>>")
    return before + after.partition("<</SYS>>")[2] if mark else ask


def _of_json(text: str) -> list[Said]:
    """Messages of the first list of messages; empty if the text is not JSON or an entry is no message."""
    if text.lstrip()[:1] not in ("[", "{"):
        return []
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return []
    if isinstance(value, dict):
        value = next((value[name] for name in _LISTS if isinstance(value.get(name), list)), None)
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        return []
    said = [(_first_text(message, _SPEAKERS).lower(), _first_text(message, _TEXTS)) for message in value]
    return [(speaker, turn) for speaker, turn in said if turn and speaker not in turn_words().unspoken]


def _first_text(message: dict[str, object], names: Sequence[str]) -> str:
    return next((value for name in names if isinstance(value := message.get(name), str)), "")


def _of_lines(text: str) -> list[Said]:
    """Turns of lines that begin with a speaker; lines between belong to the turn before."""
    lines = [line for line in text.split("\n") if line and not line.isspace()]
    labelled = [_label(line) for line in lines]
    counts = Counter(label[0] for label in labelled if label)
    speakers, is_chat = _speakers(counts)
    if not 2 <= len(speakers) <= MAX_SPEAKERS:
        return []
    said = list(_between(lines, labelled, speakers))
    n_opened = sum(counts[name] for name in speakers)
    if is_chat:
        return said
    enough = n_opened >= MIN_LINE_SHARE * len(lines) and n_opened >= MIN_SPEAKER_SHARE * counts.total()
    return said if enough and _is_spoken(said, speakers) else []


def _label(line: str) -> Said | None:
    """The name that a line begins with, and the rest; none for what can be no speaker."""
    line = line.lstrip()
    head = line[:_HEAD_CHARS]
    found = _LABEL.match(head) if ":" in head or "：" in head else None
    if not found:
        return None
    name, rest, words = found[1].strip().lower(), line[found.end() :], turn_words()
    role = _role(name)
    if role in words.numbered:
        return role, rest
    if (name.endswith(words.saying) and name not in words.roles) or (
        role != name and role not in words.roles | words.chat_roles
    ):
        return None
    return name, rest


def _speakers(counts: Counter[str]) -> tuple[set[str], bool]:
    """Names that are speakers, and whether they are chat roles: these two or more, otherwise known or repeated ones."""
    words = turn_words()
    chat = {name for name in counts if _role(name) in words.chat_roles}
    if len(chat) > 1:
        return chat, True
    known = {name for name in counts if _role(name) in words.roles}
    return chat | known | {name for name, n in counts.items() if n > 1}, False


def _role(name: str) -> str:
    return _NUMBER.sub("", name)


def _between(lines: Sequence[str], labelled: Sequence[Said | None], speakers: set[str]) -> Iterator[Said]:
    """Turns with the lines up to the next; what precedes the first is a title."""
    speaker, parts = "", list[str]()
    for line, label in zip(lines, labelled, strict=True):
        if label and label[0] in speakers:
            if parts:
                yield speaker, "\n".join(parts)
            speaker, parts = label[0], [label[1]]
        elif parts:
            parts.append(line)
    if parts:
        yield speaker, "\n".join(parts)


def _is_spoken(said: Sequence[Said], speakers: set[str]) -> bool:
    """Whether turns look spoken: not in a cycle of three or more, with known roles or with I, you and questions."""
    names, n = [speaker for speaker, _ in said], len(speakers)
    n_cyclic = sum(a == b for a, b in zip(names, names[n:], strict=False))
    if n > 2 and len(names) > n and n_cyclic > MAX_CYCLIC_SHARE * (len(names) - n):
        return False
    roles = turn_words().roles
    if sum(_role(name) in roles for name in speakers) > 1:
        return True
    n_spoken = sum(_SPOKEN.search(turn) is not None for _, turn in said)
    n_fields = sum(_FIELD.match(turn[:_HEAD_CHARS]) is not None for _, turn in said)
    return n_spoken >= MIN_SPOKEN_SHARE * len(said) and n_fields <= MAX_FIELD_SHARE * len(said)
