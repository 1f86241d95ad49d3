"""The command `filing`: what authorities ask about training data, from one finished release."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli.group import say


@click.command()
@click.argument("kind", type=click.Choice(["eu", "cn"]))
@click.argument("release_url", metavar="RELEASE")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False), default=".", show_default=True,
    help="Folder of the files.",
)  # fmt: skip
@click.option(
    "--facts", "facts_path", type=click.Path(exists=True, dir_okay=False),
    help="Answers that the release does not contain, in YAML: fields by key, and `sources`, name: category.",
)  # fmt: skip
def filing(kind: str, release_url: str, folder: str, facts_path: str | None) -> None:
    """Write a filing of a finished release, in English and Chinese (Markdown) and as JSON.

    eu: the public summary of training content of the AI Act. cn: tables of GB/T 45652 and 45654. What the release
    cannot answer is left blank.

    Example: bicorpus filing eu store/releases/v1 --to filings --facts provider.yaml
    """
    from pipeline.filings.cn import cn_tables
    from pipeline.filings.eu import eu_summary
    from pipeline.filings.facts import open_release
    from pipeline.filings.filing import LANGUAGES, read_facts, with_facts
    from pipeline.storage.store import open_store

    facts = read_facts(facts_path)
    opened = open_release(open_store(release_url))
    made = with_facts({"eu": eu_summary, "cn": cn_tables}[kind](opened, facts), facts, facts_path or "facts")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    pages = {f"{made.name}.{language}.md": made.markdown(language) for language in LANGUAGES}
    pages[f"{made.name}.json"] = json.dumps(made.plain(), indent=1, ensure_ascii=False) + "\n"
    for name, text in pages.items():
        (target / name).write_text(text, encoding="utf-8", newline="")
        click.echo(str(target / name))
    blank = [key for section in made.sections for key, _, value in section.fields if value in (None, "", [])]
    say(f"{len(blank):,} fields are blank: {', '.join(blank)}")


COMMANDS = (filing,)
