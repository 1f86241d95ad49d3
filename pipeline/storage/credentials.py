"""Credentials of object stores: passed to workers in a private file, rejected in URLs, masked in messages.

The clients read them from environment variables (AWS_*, GOOGLE_*, AZURE_*), which workers of a process pool inherit.
Ray writes the variables of a runtime environment and the arguments of tasks into logs that every user of a machine
can read; its workers therefore get the path of a file instead: mode 600, in a scratch folder of mode 700, deleted at
the end of the run. A worker that cannot read it, such as one on another machine, uses the credentials of its own node.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from pipeline.errors import UsageError

PREFIXES = ("AWS_", "GOOGLE_", "AZURE_", "BICORPUS_PSEUDONYM_KEY", "BICORPUS_TOMBSTONE_KEY")
"""Environment variables that configure access to an object store, and the key of pseudonyms."""

FILE = "BICORPUS_CREDENTIALS"
"""Environment variable of a worker: path of the file with the variables of the driver."""

MASK = "***"

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|SAS", re.IGNORECASE)
_MIN_SECRET_CHARS = 6  # a shorter value, such as the `test` of a test server, would mask words of a message

_USER_INFO = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<user>[^\s/?#\"'<>:@]*:(?!\d+(?:[/?#\s\"'<>]|$))[^\s\"'<>@]*|[^\s/?#\"'<>@]*)@"
)
"""A password may contain `/`, as the secret keys of AWS do; digits after the colon are a port."""

_SIGNATURE = re.compile(
    r"(?P<name>[?&](?:sig|signature|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature"
    r"|x-goog-credential|awsaccesskeyid|access_token|access_key\w*|secret\w*|password|token)=)[^&\s\"'<>]+",
    re.IGNORECASE,
)
_NAME_ALLOWED = ("abfs", "abfss", "adl", "ssh", "git", "git+ssh")
"""Schemes in which a name before the `@` is not a secret, such as Azure's `abfss://container@account…`."""


def store_variables() -> dict[str, str]:
    """Return the environment variables of this process that configure access to object stores."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIXES)}


def write_credentials(folder: str | os.PathLike[str]) -> Path | None:
    """Write the variables of this process into a new file of mode 600 in a private folder.

    Returns: the path of the file; None if there are no variables to write.
    """
    variables = store_variables()
    if not variables:
        return None
    path = Path(folder, "credentials.json")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(variables, file)
    return path


def load_credentials() -> None:
    """Set the driver's variables in a worker; if the file cannot be read, the variables of its node are kept."""
    try:
        variables = json.loads(Path(os.environ[FILE]).read_text("utf-8"))
    except (KeyError, OSError):
        return
    os.environ.update(variables)


def check_url(url: str) -> str:
    """Return the URL after checking it for credentials.

    Raises: UsageError if it contains a user, a password or a signature; the message shows none of them.
    """
    check_text(url, masked(url))
    return url


def check_text(text: str, where: str) -> None:
    """Check a text, such as a run file, for URLs with credentials.

    Args: where, named in the message, with the line number for a text of several lines.
    Raises: UsageError if a URL contains a user, a password or a signature; the message shows none of them.
    """
    for match in (*_USER_INFO.finditer(text), *_SIGNATURE.finditer(text)):
        if _is_secret(match):
            line = f" line {text.count(chr(10), 0, match.start()) + 1}:" if "\n" in text else ""
            what = "a user or password before '@'" if "@" in match[0] else "a signature or key after '?'"
            raise UsageError(
                f"{where}:{line} a URL with {what}; leave it out and set the credentials in the environment "
                "(AWS_*, GOOGLE_* or AZURE_* variables)"
            )


def masked(text: str) -> str:
    """Return the text with user info and signatures of URLs, and secrets of this process's variables, masked."""
    text = _USER_INFO.sub(lambda m: f"{m['scheme']}://{MASK}@" if _is_secret(m) else m[0], text)
    text = _SIGNATURE.sub(lambda m: f"{m['name']}{MASK}", text)
    for name, value in store_variables().items():
        if _SECRET_NAME.search(name) and len(value) >= _MIN_SECRET_CHARS:
            text = text.replace(value, MASK)
    return text


def _is_secret(match: re.Match[str]) -> bool:
    groups = match.groupdict()
    return not (groups.get("scheme") in _NAME_ALLOWED and ":" not in groups["user"])
