"""The docs name what exists: commands, run-file keys, stages, columns, reasons and pages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from pipeline import __version__, errors
from pipeline.cli import main
from pipeline.config.load import load_run
from pipeline.config.run_file import Ingest
from pipeline.names import MOVED
from pipeline.runtime.limits import FAULTS
from tests.helpers.each_file import each_of
from tests.helpers.paths import ROOT

READMES = ("README.md", "README.zh-CN.md")
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        ROOT / "scripts/README.md",
        *(path for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*.md")),
    ]
)
GENERATED = {"stages.md": "stage_tables", "cli.md": "cli_reference", "api.md": "api_reference"}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
IDIOMS = re.compile(
    r"\b(goes for|go for another|gone for|what loses|loses? passages|stands? in|(is|are) told by|told apart|"
    r"tells? apart|as (they|it) lies?|hangs? together|(is|are) (like|gone)|alike|whatever|what (they|it) says?|"
    r"says what|what stands)\b",
    re.IGNORECASE,
)
"""Phrases with a plain equivalent, which CONTRIBUTING.md lists."""

PLAIN = ("pipeline", "stages", "classifiers", "scripts", "examples")
"""Folders whose docstrings have none of IDIOMS."""

KEY_NAMES = ("KEYS", "SOURCE_KEYS", "RULE_KEYS", "PRESET_KEYS", "TESTS", "keys")
BROKEN = (
    "Record", "_BrokenError", "_broken", "DamageError", "_Unreadable", "_DiedError", "ExtractionError", "refused",
    "Fault",
)  # fmt: skip


def page(name: str) -> str:
    """Text of a page below the root."""
    return (ROOT / name).read_text("utf-8")


def commands() -> list[click.Command]:
    """All commands, in order of name."""
    return [main.commands[name] for name in sorted(main.commands)]


def tuples_of_keys(path: str) -> Iterator[str]:
    """Keys that a parser checks against: tuples named as such, or handed to check_keys."""
    for node in ast.walk(ast.parse(page(path))):
        tuples: list[ast.AST] = []
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") in KEY_NAMES for t in node.targets):
            tuples = [node.value]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check_keys":
            tuples = [inner for inner in ast.walk(node.args[1]) if isinstance(inner, ast.Tuple)]
        for found in tuples:
            if isinstance(found, ast.Tuple):
                yield from (
                    e.value for e in found.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)
                )


def reasons() -> Iterator[str]:
    """Reasons that readers and ingest quarantine records for."""
    folders = ("readers", "extraction", "decoding", "parallel")
    paths = [p.relative_to(ROOT) for name in folders for p in (ROOT / "stages" / name).glob("*.py")]
    yield from FAULTS
    for path in ("pipeline/ingest/canonical.py", "pipeline/ingest/ingest.py", *paths):
        for node in ast.walk(ast.parse(page(str(path)))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in BROKEN:
                values = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                yield from (
                    v for v in values if isinstance(v, str) and re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", v)
                )


def headings(text: str) -> set[str]:
    """Anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.name)
def test_commands_have_help_and_an_example(command: click.Command) -> None:
    """The help of every command describes it and ends with an example; every option is explained."""
    result = CliRunner().invoke(main, [str(command.name), "--help"])
    assert result.exit_code == 0
    assert f"Example: bicorpus {command.name} " in " ".join(result.output.split())
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert [o.name for o in options if not (o.help or o.show_default)] == []


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.name)
def test_the_command_reference_names_every_command(command: click.Command) -> None:
    """docs/cli.md shows every command once in its table, and has a section on it."""
    text = page("docs/cli.md")
    assert text.count(f"| [`bicorpus {command.name}`](#bicorpus-{command.name}) |") == 1
    assert text.count(f"\n## bicorpus {command.name}\n") == 1


@each_of(PAGES)
def test_pages_name_no_other_command(path: Path) -> None:
    """Every command that a page names exists."""
    assert set(re.findall(r"`bicorpus ([a-z][\w-]*)", path.read_text("utf-8"))) <= set(main.commands)


def test_readmes_name_the_same_commands_and_pages() -> None:
    """Both READMEs lead to the same commands and, but for translations, to the same pages."""
    english, chinese = (
        {*re.findall(r"`bicorpus ([\w-]+)", text), *(t.replace(".zh-CN", "") for t in LINK.findall(text))}
        for text in map(page, READMES)
    )
    assert english == chinese


@pytest.mark.parametrize("readme", READMES)
def test_readmes_are_short(readme: str) -> None:
    """A README has at most 100 lines; figures, comparisons and words are in pages of their own."""
    assert page(readme).count("\n") <= 100


def test_readmes_show_the_same_run_file() -> None:
    """The run file of the READMEs is one page, the same in both languages, and parses."""
    blocks = [re.findall(r"```yaml\n(.*?)```", page(name), re.S) for name in READMES]
    english, chinese = ([yaml.safe_load(block) for block in found] for found in blocks)
    assert len(english) == 1 and english == chinese
    assert blocks[0][0].count("\n") <= 35


def test_the_run_file_of_the_readme_loads(tmp_path: Path) -> None:
    """What a newcomer copies is accepted."""
    run = tmp_path / "my.yaml"
    (block,) = re.findall(r"```yaml\n(.*?)```", page("README.md"), re.S)
    run.write_text(block, "utf-8")
    (tmp_path / "my_model").mkdir()
    (tmp_path / "my_model/tokenizer.json").write_bytes((ROOT / "stages/models/tokenizer.json").read_bytes())
    assert load_run(run).corpus == "my_corpus"


TRANSLATED = sorted(path for path in (ROOT / "docs").glob("*.zh-CN.md") if path.name != "words.zh-CN.md")
"""Pages in Chinese that have the sections of an English one; the words are listed in another form."""


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.name)
def test_translated_pages_follow_the_english_ones(path: Path) -> None:
    """A page in Chinese has the headings, code, tables and images of the English page, and both name each other."""

    def outline(text: str) -> tuple[list[str], list[str], int, list[str]]:
        blocks = re.findall(r"^```.*?^```", text, re.S | re.M)
        body = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
        pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", body)
        return re.findall(r"^#+(?= )", body, re.M), blocks, len(re.findall(r"^\|", body, re.M)), pictures

    english = path.with_name(path.name.replace(".zh-CN", ""))
    assert outline(path.read_text("utf-8")) == outline(english.read_text("utf-8"))
    assert f"[English]({english.name})" in path.read_text("utf-8").splitlines()[2]
    commands = [set(re.findall(r"`bicorpus ([a-z][\w-]*)", p.read_text("utf-8"))) for p in (path, english)]
    assert commands[0] == commands[1]


def test_every_key_of_the_run_file_is_documented() -> None:
    """Each key that the parser accepts occurs in docs/run-file.md as code."""
    parsers = (
        "pipeline/config/load.py",
        "pipeline/rules/presets.py",
        "pipeline/rules/rules.py",
        "pipeline/mix/config.py",
    )
    known = {key for path in parsers for key in tuples_of_keys(path)} | {f.name for f in fields(Ingest)}
    assert len(known) > 40
    assert sorted(key for key in known if f"`{key}`" not in page("docs/run-file.md")) == []


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_up_to_date(name: str) -> None:
    """Stages, commands and Python interfaces are documented as the scripts write them from the code."""
    command = [sys.executable, "-m", f"scripts.maintenance.{GENERATED[name]}", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_renamed_module_is_in_the_upgrade_notes() -> None:
    """docs/upgrading.md lists each renamed module with its new name, and no other."""
    rows = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", page("docs/upgrading.md"), re.M)
    assert dict(rows) == MOVED


def test_the_changelog_has_this_version() -> None:
    """CHANGELOG.md starts with `Unreleased`, then the present version with its date."""
    titles = re.findall(r"^## (.+)$", page("CHANGELOG.md"), re.M)
    assert titles[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", titles[1])


def test_every_page_is_listed_once() -> None:
    """docs/README.md lists every page of docs/ once, docs/decisions/README.md every decision."""
    for index in ("docs/README.md", "docs/decisions/README.md"):
        folder = (ROOT / index).parent
        pages = {path.relative_to(folder).as_posix() for path in folder.glob("*.md")} - {"README.md"}
        pages |= {"decisions/README.md"} if folder.name == "docs" else set()
        rows = [line for line in page(index).splitlines() if line.startswith(("- ", "| "))]
        listed = [target for line in rows for target in LINK.findall(line)]
        assert sorted(listed) == sorted(pages)


def test_every_reason_is_documented() -> None:
    """docs/bad-input.md explains each reason for quarantine, and no other."""
    text = page("docs/bad-input.md").partition("## Exit codes")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == set(reasons())


def test_every_exit_code_is_documented() -> None:
    """docs/bad-input.md explains each exit code of an error."""
    codes = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and hasattr(e, "exit_code")}
    text = page("docs/bad-input.md").partition("## Exit codes")[2]
    assert codes <= {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.M)}


@each_of(PAGES)
def test_links_resolve(path: Path) -> None:
    """Every link to a file of the repository finds it, and the heading it names."""
    for target in LINK.findall(path.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), target
        if anchor:
            assert anchor in headings(found.read_text("utf-8")), target


@each_of(PAGES)
def test_commands_in_pages_exist(path: Path) -> None:
    """Command lines in code blocks use options that the command has."""
    for line in re.findall(r"^\s*(?:bicorpus )(.+)$", path.read_text("utf-8"), re.M):
        name, *words = line.split()
        command = main.commands.get(name)
        if command is None:
            continue
        if isinstance(command, click.Group):
            command = command.commands.get(words[0], command)
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known, line


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as a site, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """Scripts, styles and pictures of the site are its own."""
    loaded = re.compile(r"""(?:src=|<link[^>]*href=)["'](?:https?:)?//""")
    assert [path.name for path in site.rglob("*.html") if loaded.search(path.read_text("utf-8"))] == []


def test_the_site_shows_pages_as_code_hosts_do(site: Path) -> None:
    """Every heading, table and list item of a page is one on the site."""
    patterns = {r"^#+ ": r"<h\d id=", r"^\|[-: |]+\|$": "<table>", r"^ *(?:[-*]|\d{1,2}\.) ": "<li>"}
    for path in (ROOT / "docs").rglob("*.md"):
        name = path.relative_to(ROOT / "docs").as_posix().replace("README.md", "index.md")
        text = re.sub(r"^ *```.*?^ *```", "", path.read_text("utf-8"), flags=re.S | re.M)
        html = (site / name).with_suffix(".html").read_text("utf-8")
        html = html.partition('role="main"')[2].partition("<footer")[0]
        for source, result in patterns.items():
            assert len(re.findall(source, text, re.M)) == len(re.findall(result, html)), (name, result)


def test_pages_use_the_words_of_the_field() -> None:
    """No page has an idiom for which CONTRIBUTING.md has an equivalent."""
    skipped = {"CONTRIBUTING.md"}  # it has the list itself
    hits = [
        f"{name}:{number}: {match[0]}"
        for name, path in ((path.relative_to(ROOT).as_posix(), path) for path in PAGES)
        if name not in skipped
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in IDIOMS.finditer(line)
    ]
    assert hits == []


@pytest.mark.parametrize("folder", PLAIN)
def test_docstrings_use_the_words_of_the_field(folder: str) -> None:
    """No docstring has an idiom for which CONTRIBUTING.md has an equivalent."""
    hits = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for match in IDIOMS.finditer(" ".join(str(node.value.value).split()))
    ]
    assert hits == []


def test_the_citation_names_the_version() -> None:
    """CITATION.cff gives the version of the package, and its licence."""
    citation = yaml.safe_load(page("CITATION.cff"))
    assert citation["version"] == __version__
    assert citation["license"] == "Apache-2.0"


def test_the_lock_holds_every_dependency() -> None:
    """requirements.lock pins every direct dependency of the core and dev, exactly, and names no place."""
    import tomllib

    project = tomllib.loads(page("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["datatrove"], *extras["docs"]]
    names = {re.split(r"[^\w.-]", text)[0].lower().replace("_", "-") for text in wanted}
    lines = [line for line in page("requirements.lock").splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+]+", line)] == []
    locked = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert names - {"bicorpus"} <= locked  # the dev extra names extras of our own
    assert not {name for name in locked if name.startswith(("torch", "nvidia", "triton"))}
