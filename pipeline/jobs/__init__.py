"""Jobs of one command or one call: score, filter, deduplicate, label and mask a file or a table, without a store.

They run the stages, rules and global steps of a build on batches of documents in memory, so that their answers are
those of a build with the same settings. `pipeline.cli.jobs` and the module `bicorpus` are thin faces of this package.
"""
