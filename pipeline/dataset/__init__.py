"""Files of a store: shards of documents, sidecars of annotations, imported tables, and the schema of releases."""
