"""Answers: read, checked, merged, compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.labelling.agreement import kappa, quadratic_kappa, spearman
from pipeline.labelling.answers import Read, compare, merge, read_answers
from pipeline.labelling.rubric import read_rubric

HEAD = "doc_id,score,keep,kind,flags,domain,note,labeller\n"


def read(folder: Path, *files: str) -> Read:
    """Answers of files with these lines."""
    paths = []
    for i, lines in enumerate(files):
        path = folder / f"answers{i}.csv"
        path.write_text(HEAD + lines, encoding="utf-8")
        paths.append(str(path))
    return read_answers(paths, read_rubric())


def test_kappa_of_a_table_of_counts() -> None:
    """Twenty times both yes, fifteen times both no, five and ten times one of them: 0.7 observed, 0.5 by chance."""
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert kappa(first, second) == pytest.approx(0.4)
    assert kappa(["a", "b", "c"], ["a", "b", "c"]) == 1
    assert kappa(["a", "a"], ["a", "a"]) is None and kappa([], []) is None


SCORES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1)


@given(SCORES)
def test_quadratic_kappa_is_what_its_definition_says(pairs: list[tuple[int, int]]) -> None:
    """One minus the mean square difference over that of all pairings of one's answers with the other's."""
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    observed = sum((a - b) ** 2 for a, b in pairs) / len(pairs)
    chance = sum((a - b) ** 2 for a in first for b in second) / len(pairs) ** 2
    found = quadratic_kappa(first, second)
    assert found is None if chance == 0 else found == pytest.approx(1 - observed / chance)


@given(SCORES)
def test_spearman_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    """Equal values have the mean of their ranks; constant answers have no correlation."""
    stats = pytest.importorskip("scipy.stats")
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = spearman(first, second)
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert found is None
    else:
        assert found == pytest.approx(float(stats.spearmanr(first, second).statistic))


def test_what_spreadsheets_write_is_understood(tmp_path: Path) -> None:
    """Words and numbers for keep, fractions for scores and blanks around flags are read; empty rows are counted."""
    found = read(
        tmp_path,
        'a,3.0,YES,news,ads | mt,health,"\'=1+1",ann\nb,0,否,seo,,none,,ann\nc,,,,,,,ann\nd,5,TRUE,essay,,arts,x,ann\n',
    )
    answers = found.answers["ann"]
    assert (answers["a"].score, answers["a"].keep, answers["a"].flags) == (3, True, ("ads", "mt"))
    assert answers["a"].note == "=1+1"
    assert answers["b"].keep is False and answers["d"].keep is True
    assert set(answers) == {"a", "b", "d"} and found.n_open == 1


def test_a_file_without_names_is_one_labeller(tmp_path: Path) -> None:
    """The labeller is the column, or else the name of the file."""
    found = read(tmp_path, "a,3,true,news,,health,,\n", "a,4,true,news,,health,,\n")
    assert list(found.answers) == ["answers0", "answers1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,6,true,news,,health,,ann", "score of a is 6; expected one of 0, 1, 2, 3, 4, 5"),
        ("a,3,maybe,news,,health,,ann", "keep of a is 'maybe'; expected true or false"),
        ("a,3,true,novel,,health,,ann", "kind of a is 'novel'; expected one of news"),
        ("a,3,true,news,bad,health,,ann", "flags of a is 'bad'; expected some of boilerplate"),
        ("a,3,true,news,,sport,,ann", "domain of a is 'sport'"),
        ("a,3,true,news,,health,,ann\na,4,true,news,,health,,ann", "two different answers about a"),
        ("a,,,,,,,ann", "no answers"),
    ],
)
def test_answers_outside_the_rubric_are_named(tmp_path: Path, line: str, message: str) -> None:
    """An answer that the rubric does not have names file, document and question."""
    with pytest.raises(InputError, match=message):
        read(tmp_path, line + "\n")


def test_labellers_are_merged(tmp_path: Path) -> None:
    """Scores are averaged; keep, kind and domain are those of most; flags those of at least half."""
    found = read(
        tmp_path,
        "a,2,true,news,ads,health,,ann\nb,5,true,essay,,arts,,ann\n",
        "a,3,false,news,,food,,bo\n",
    )
    first, second = merge(found).to_pylist()
    assert first == {
        "doc_id": "a", "score": 2.5, "keep": None, "kind": "news", "flags": ["ads"], "domain": None, "n_labels": 2,
    }  # fmt: skip
    assert (second["doc_id"], second["score"], second["n_labels"]) == ("b", 5.0, 1)


def answers_of(labeller: str, scores: Sequence[int], keeps: Sequence[bool]) -> str:
    """Lines of answers about documents d0, d1, …"""
    return "".join(
        f"d{i},{score},{str(keep).lower()},news,,health,,{labeller}\n"
        for i, (score, keep) in enumerate(zip(scores, keeps, strict=True))
    )


def test_two_labellers_are_compared(tmp_path: Path) -> None:
    """Agreement is over the documents that both answered; the largest disagreements come first."""
    ann = answers_of("ann", [0, 1, 2, 3, 4, 5], [False, False, False, True, True, True])
    bo = answers_of("bo", [0, 1, 5, 3, 2, 5, 5], [False, False, True, False, True, True, True])
    (pair,) = compare(read(tmp_path, ann, bo))
    assert pair["labellers"] == ["ann", "bo"] and pair["documents"] == 6
    assert pair["quadratic_kappa"] == round(1 - (9 + 4) / 6 / (sum(
        (a - b) ** 2 for a in (0, 1, 2, 3, 4, 5) for b in (0, 1, 5, 3, 2, 5)) / 36), 4)  # fmt: skip
    assert pair["within_one"] == round(4 / 6, 4) and pair["keep_agreement"] == round(4 / 6, 4)
    assert pair["keep_kappa"] == round(1 - (2 / 6) / 0.5, 4) and pair["kind_kappa"] is None
    assert [row["doc_id"] for row in pair["disagreements"]] == ["d2", "d4", "d3"]
    assert pair["disagreements"][2]["keep"] == [True, False]


def test_every_pair_is_compared(tmp_path: Path) -> None:
    """Three labellers are three pairs."""
    lines: list[Any] = [answers_of(name, [1, 2], [True, False]) for name in ("ann", "bo", "cy")]
    assert [pair["labellers"] for pair in compare(read(tmp_path, *lines))] == [
        ["ann", "bo"],
        ["ann", "cy"],
        ["bo", "cy"],
    ]
