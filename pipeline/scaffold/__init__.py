"""`bicorpus init`: look at files and write a run file for them."""
