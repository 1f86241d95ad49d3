"""`python -m pipeline` is the command `bicorpus`."""

from pipeline.cli.entry import command

command()
