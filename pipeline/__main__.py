"""`python -m pipeline` is the command `bicorpus`."""

from pipeline.cli import main

main(prog_name="bicorpus")
