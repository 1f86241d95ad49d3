"""Write stages/models/public_suffixes.txt from the Public Suffix List.

Reads `public_suffix_list.dat` (https://publicsuffix.org/list/, MPL-2.0; also in the package `publicsuffixlist`);
writes its rules without comments, in ASCII, those of registries first. Run it to renew the snapshot: the digest of the
file is part of every recipe of stages.web.urls, so the header keeps the former path of this script.

Example: python -m scripts.maintenance.make_suffixes public_suffix_list.dat
"""

from __future__ import annotations

from pathlib import Path

import click

OUT = Path(__file__).parents[2] / "stages" / "models" / "public_suffixes.txt"
PRIVATE = "// ===BEGIN PRIVATE DOMAINS==="
HEAD = """\
# Rules of the Public Suffix List, https://publicsuffix.org/list/, {version}
# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
# distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.
# Made by scripts/make_suffixes.py: comments are left out, names are in ASCII (RFC 3492). See public_suffixes.md.
"""


def ascii_rule(rule: str) -> str:
    """A rule with its labels in ASCII (IDNA); `!` and `*.` are kept."""
    mark = "!" if rule.startswith("!") else ""
    labels = [
        label if label == "*" else label.encode("idna").decode() for label in rule[len(mark) :].split(".")
    ]
    return mark + ".".join(labels)


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
def main(path: str) -> None:
    """Write the snapshot from the list at PATH."""
    lines = Path(path).read_text("utf-8").splitlines()
    marks = [line[3:].strip() for line in lines if line.startswith(("// VERSION:", "// COMMIT:"))]
    private = lines.index(PRIVATE)
    parts = []
    for title, part in (("registries", lines[:private]), ("private", lines[private:])):
        rules = [line.split()[0] for line in part if line.strip() and not line.startswith("//")]
        parts.append("\n".join([f"# {title}", *sorted(map(ascii_rule, rules))]))
        click.echo(f"{title}: {len(rules):,} rules")
    OUT.write_text(HEAD.format(version="; ".join(marks)) + "\n".join(parts) + "\n", "utf-8")


if __name__ == "__main__":
    main()
