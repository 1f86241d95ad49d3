"""Byte-level BPE: a pattern compiled to a table (`automaton`), its matches and their merges (`encode`)."""
