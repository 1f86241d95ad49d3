"""Write docs/cli.md, the reference of all commands, from the definitions of the command line.

Example: python -m scripts.maintenance.cli_reference
Example: python -m scripts.maintenance.cli_reference --check
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator

import click

from pipeline.cli import main as bicorpus
from scripts.maintenance.generated_page import escape, write_or_check

HEAD = """\
# Commands

All commands of `bicorpus`, with their arguments and options. Results go to stdout, progress and errors to stderr; exit
codes are in [bad-input.md](bad-input.md#exit-codes). `bicorpus COMMAND --help` prints the same. This page is written by
`python -m scripts.maintenance.cli_reference`.

"""
ARGUMENTS = {
    "RUN.yaml|RELEASE": "the [run file](run-file.md) of a store, or the folder of a [release](release.md)",
    "RUN.yaml": "the [run file](run-file.md)",
    "RUN.yaml...": "every [run file](run-file.md) of the store",
    "ABLATION.yaml": "the [file of the ablation](ablate.md)",
    "{eu|cn}": "the filing",
    "DRAWN.parquet": "what `audit draw` wrote beside the sheet",
    "OPTIONS]...": "options of [run](#bicorpus-run)",
    "RATIOS.csv": "ratios of the runs, a row each",
    "METRICS.csv": "measures of the runs, a row each",
    "PRESET": "name of a [set](run-file.md#use) or of a [preset](presets.md) of rules",
    "PATH...": "files and folders to read",
    "DOC_ID": "the document's id",
    "{bash|zsh|fish}": "the shell",
    "MODULE": "dotted name of the module with `STAGE` or `GLOBAL`",
    "MODEL|RUN.yaml...": "models by name, `org/name@commit`, or run files that name them",
    "NAME": "the prefix of the columns",
    "INPUT...": "files, globs or folders, or `-` for standard input",
    "FILES...": "Parquet, JSON Lines or CSV files",
    "SHEET.csv": "the [sheet](label.md#sheet) as CSV",
    "ANSWERS...": "files of [answers](label.md#answers)",
    "RELEASE": "folder or URL of a [release](release.md)",
    "STORE": "folder or URL of a [store](store.md)",
    "OLD": "folder or URL of the first release",
    "NEW": "folder or URL of the second release",
}
"""Meaning of each argument by the name that the usage shows; click has no help texts for arguments."""


class MeaningError(SystemExit):
    """An argument or option has no meaning."""


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Full name and definition of every command below a group, in order of name, a group before its commands."""
    if isinstance(command, click.Group):
        for child in sorted(command.commands):
            yield f"{name} {child}", command.commands[child]
            yield from commands(command.commands[child], f"{name} {child}")


def reference() -> str:
    """The whole page.

    Raises: MeaningError naming an argument or option without a meaning.
    """
    found = list(commands(bicorpus, "bicorpus"))
    rows = [f"| [`{name}`](#{name.replace(' ', '-')}) | {summary(command)} |\n" for name, command in found]
    overview = "| command | does |\n| --- | --- |\n" + "".join(rows)
    return HEAD + overview + "".join(section(name, command) for name, command in found)


def summary(command: click.Command) -> str:
    """The first sentence of a command's help."""
    paragraph = " ".join(inspect.cleandoc(command.help or "").split("\n\n")[0].split())
    return escape(re.split(r"(?<=\.)\s", paragraph)[0].rstrip("."))


def section(name: str, command: click.Command) -> str:
    """Heading, usage, help, parameters and example of one command."""
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")]
    examples = [part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: ")]
    texts = [escape(part) for part in paragraphs if not part.startswith("Example: ")]
    lines = [f"\n## {name}\n", f"```text\n{usage}\n```\n", *(f"{text}\n" for text in texts)]
    if table := "".join(parameters(name, command, context)):
        lines.append(f"| argument or option | meaning |\n| --- | --- |\n{table}")
    lines += ["Example:\n", "```bash\n" + "\n".join(examples) + "\n```\n"] if examples else []
    return "\n".join(lines)


def parameters(name: str, command: click.Command, context: click.Context) -> Iterator[str]:
    """A table row for each argument, then for each option."""
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            shown = parameter.make_metavar(context).strip("[]")
            if shown not in ARGUMENTS:
                raise MeaningError(f"{name}: argument {shown} has no meaning; add it to ARGUMENTS")
            yield f"| `{shown}` | {ARGUMENTS[shown]}{'' if parameter.required else ' (optional)'} |\n"
    for parameter in command.params:
        record = None if isinstance(parameter, click.Argument) else parameter.get_help_record(context)
        if record is None:  # an argument or a hidden option
            continue
        flags, meaning = record
        if not meaning.strip():
            raise MeaningError(f"{name}: option {flags} has no help")
        code = flags.replace("|", "\\|")  # in a table, also inside code
        yield f"| `{code}` | {escape(' '.join(meaning.split()))} |\n"


if __name__ == "__main__":
    sys.exit(write_or_check("cli.md", "scripts.maintenance.cli_reference", reference, sys.argv[1:]))
