"""Writing a release: facts of kept documents, their placement, and the files."""
