"""Whether the edits of the release change a text: for licences that allow no adapted text.

With `view: release`, the text that this stage reads has the edits of the release; its hash is compared with that of the
canonical text. Repeated passages are removed later: `owners.n_removed` counts them.
"""

from __future__ import annotations

import pyarrow as pa
import xxhash

from pipeline.stage import Stage, bind

SCHEMA = pa.schema({"changed": pa.bool_()})
"""changed: whether the text that was read differs from the canonical text."""


def annotate(batch: pa.Table) -> pa.Table:
    """Compare texts with the hashes of canonical texts: columns `text` and `text_hash`, (n_docs,)."""
    pairs = zip(batch["text"].to_pylist(), batch["text_hash"].to_pylist(), strict=True)
    changed = [xxhash.xxh3_128_hexdigest((text or "").encode()) != known for text, known in pairs]
    return pa.table({"changed": pa.array(changed, pa.bool_())}, schema=SCHEMA)


STAGE = Stage(name="changed", version=1, reads=("text", "text_hash"), writes=SCHEMA, load=bind(annotate))
