"""Pack or unpack the phrases of `toxicity_examples.py`, which contain abuse.

Example: python -m scripts.training.toxicity_phrases > phrases.txt
Example: python -m scripts.training.toxicity_phrases --pack phrases.txt
"""

from __future__ import annotations

import argparse
import base64
import textwrap
import zlib
from pathlib import Path

PATH = Path(__file__).with_name("toxicity_phrases.txt")


def read_phrases(path: Path) -> dict[str, str]:
    """Language (zh, en) -> its phrases; sections start with a line `# language`."""
    text = zlib.decompress(base64.b64decode(path.read_bytes())).decode("utf-8")
    parts = (part.partition("\n") for part in text.split("# ")[1:])
    return {language.strip(): body for language, _, body in parts}


def main() -> None:
    """Read the command line, pack or print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pack", type=Path, help="file to pack; default: print the unpacked phrases")
    source = parser.parse_args().pack
    if source is None:
        print("".join(f"# {name}\n{body}" for name, body in read_phrases(PATH).items()), end="")
        return
    packed = base64.b64encode(zlib.compress(source.read_bytes(), 9)).decode("ascii")
    PATH.write_text("\n".join(textwrap.wrap(packed, 110)) + "\n", "ascii")


if __name__ == "__main__":
    main()
