"""How every command presents itself: language, colour, help, errors, and names that were mistyped.

A group adds the options `--lang` and `--verbose` to each of its commands, so that they may be given before or after its
name, and prints help and errors in the language of the reader.
"""

from __future__ import annotations

import io
import os
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any  # as click declares what it calls and is called with

import click

from pipeline.cells import pad, wide, wrap
from pipeline.errors import BicorpusError
from pipeline.names import nearest
from pipeline.translation import LANGUAGES, VARIABLE, language, message, set_language, system_language, t

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VERBOSE = "bicorpus.verbose"
"""Key of the context of a command: whether --verbose was given."""


class HelpFormatter(click.HelpFormatter):
    """Translates help and wraps it by terminal cells, of which an ideograph takes two."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage of a command."""
        before = t("Usage:")
        gap = "" if before.endswith("：") else " "
        super().write_usage(prog, args, before + gap if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        """Write the heading of a section."""
        self.write(click.style(f"{'':>{self.current_indent}}{t(f'{heading}:')}", bold=True) + "\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs, each translated and wrapped."""
        indent = " " * self.current_indent
        paragraphs = [t(" ".join(part.split())) for part in re.split(r"\n\s*\n", text.strip())]
        lines = (wrap(part, self.width - self.current_indent) for part in paragraphs)
        self.write("\n\n".join("\n".join(indent + line for line in part) for part in lines) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of options or commands with their meanings."""
        rows = [(first, translated_help(second)) for first, second in rows]
        column = min(max(wide(first) for first, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for first, second in rows:
            lines = wrap(second, max(self.width - column - 2, 10))
            if wide(first) > column - col_spacing:
                lines = ["", *lines]
            self.write(f"{indent}{pad(first, column)}{lines[0]}".rstrip() + "\n")
            self.write("".join(f"{indent}{'':{column}}{line}\n" for line in lines[1:]))


def translated_help(text: str) -> str:
    """Return the help of an option translated; its defaults and limits are in brackets at the end."""
    meaning, brackets, facts = ("", "  [", text[1:]) if text.startswith("[") else text.partition("  [")
    shown = t(" ".join(meaning.split()))
    if not brackets:
        return shown
    return f"{shown}  [{'; '.join(t(fact) for fact in facts.removesuffix(']').split('; '))}]".strip()


class Context(click.Context):
    """A context whose help is translated."""

    formatter_class = HelpFormatter


class Group(click.Group):
    """A group of commands with translated help and errors.

    Errors of errors.py become one line on stderr and their exit code.
    """

    context_class = Context

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, which takes the options of every command after its name as well."""
        cmd.context_class = Context
        cmd.params += [option for option in common_options(hidden=True) if option.name not in names_of(cmd)]
        super().add_command(cmd, name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands, with their help translated, and options."""
        found = super().shell_complete(ctx, incomplete)
        for item in found:
            if command := self.commands.get(str(item.value)):
                item.help = first_sentence(command.help or "")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with the first sentence of their help."""
        shown = [(name, cmd) for name, cmd in sorted(self.commands.items()) if not cmd.hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_sentence(cmd.help or "")) for name, cmd in shown])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a name.

        Raises: click.UsageError if there is none, with the most similar one.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and name[:1].isalnum():
            raise click.UsageError(f"no command {name!r}{nearest(name, self.commands)}", ctx)
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; see click."""
        words = sys.argv[1:] if args is None else list(args)
        before = language()
        set_language(_language_of(self, words))
        extra.setdefault("color", wants_color(os.environ))
        try:
            code = super().main(words, prog_name, complete_var, False, **extra)
        except click.ClickException as error:
            if not standalone_mode:
                raise
            show(error)
            code = error.exit_code
        except click.Abort:
            if not standalone_mode:
                raise
            click.echo(t("Aborted!"), err=True)
            code = 1
        finally:
            set_language(before)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BicorpusError as error:
            if ctx.find_root().meta.get(VERBOSE):
                click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
            click.echo(click.style("bicorpus:", fg="red") + f" {t(str(error))}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt as error:  # a command that keeps nothing raises it with a note of its own
            note = message("interrupted; finished work is kept, and the same command resumes from it")
            click.echo(f"\nbicorpus: {t(str(error) or note)}", err=True)
            ctx.exit(130)


def names_of(command: click.Command) -> set[str | None]:
    """Names of a command's parameters."""
    return {parameter.name for parameter in command.params}


def first_sentence(text: str) -> str:
    """The first sentence of a help, translated, without its full stop."""
    paragraph = t(" ".join(text.strip().split("\n\n")[0].split()))
    return re.split(r"(?<=\.)\s|(?<=。)", paragraph)[0].rstrip("。").removesuffix(".")


def show(error: click.ClickException) -> None:
    """Print what click has to say about a command line, usage first."""
    sink = io.StringIO()
    error.show(file=sink)
    for line in sink.getvalue().rstrip("\n").split("\n"):
        click.echo(t(line), err=True)


def wants_color(environment: Mapping[str, str]) -> bool | None:
    """Whether output is coloured: never with NO_COLOR, always with FORCE_COLOR, else (None) on a terminal.

    A variable that is empty counts as not set. Source: https://no-color.org, https://force-color.org.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return False if environment.get("TERM") == "dumb" else None


def _language_of(group: click.Group, words: Sequence[str]) -> str:
    """The language that a command line asks for, which is needed before it is parsed: `--help` ends the parsing.

    A command may have an option `--lang` of its own, with another meaning.
    """
    found, command = system_language(), group
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word == "--":
            break
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]  # type: ignore[assignment]
        asked = (
            following
            if word == "--lang"
            else word.removeprefix("--lang=")
            if word.startswith("--lang=")
            else ""
        )
        if asked in LANGUAGES and any(option.callback is _keep_language for option in command.params):
            found = asked
    return found


def common_options(hidden: bool = False) -> list[click.Option]:
    """The options of every command; hidden: not in the help of each, but in that of `bicorpus`."""
    return [
        click.Option(
            ["--lang"], type=click.Choice(LANGUAGES), expose_value=False, hidden=hidden, callback=_keep_language,
            help=f"Language of messages.  [default: that of {VARIABLE}, LC_ALL, LC_MESSAGES or LANG]",
        ),
        click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, hidden=hidden, callback=_keep_verbose,
            help="Print the traceback of an error as well.",
        ),
    ]  # fmt: skip


def _keep_language(context: click.Context, option: click.Parameter, value: str | None) -> None:
    del context, option
    set_language(value or language())


def _keep_verbose(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    if value:
        context.find_root().meta[VERBOSE] = True


def say(text: str, err: bool = False) -> None:
    """Print a message in the language of the reader."""
    click.echo(t(text), err=err)
