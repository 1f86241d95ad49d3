"""The command `release`: cut another release from a finished build; it decides and writes, and measures nothing."""

from __future__ import annotations

import dataclasses
import json
import time

from pipeline.build import Record
from pipeline.cluster import Engine
from pipeline.errors import QuarantineError, UsageError
from pipeline.finished import Finished
from pipeline.progress import Progress
from pipeline.run_file import RunFile
from pipeline.shards import peak_rss_bytes
from pipeline.store import Store


def cut_release(run: RunFile, store: Store, engine: Engine, progress: Progress, replace: bool) -> Record:
    """Write the release that a run file names from what its store holds.

    Args: run, with the release's own name; replace, whether a release of that name which holds anything else may go.
    Raises: UsageError if an input, an annotation or a global result is missing, or the name is taken; QuarantineError,
    when all is written, as a run does.
    """
    said = f"# cut with `bicorpus release --name {run.release.name} --mix {run.mix.default}`\n"
    run = dataclasses.replace(run, text=said + run.text)
    begin = time.monotonic()
    finished = Finished(run, store, engine=engine, progress=progress)
    build, releasing = finished.build, finished.releasing
    if not (replace or releasing.is_current()) and store.exists(releasing.head_key()):
        raise UsageError(
            f"{store.url}: release {run.release.name!r} is there and was cut otherwise; choose another --name, or "
            "replace it with --force"
        )
    store.check()
    record = build.record
    try:
        build.count_quarantined()
        with build.timed("release"):
            record.release = releasing.run()
        counts = json.loads(store.get(f"{record.release}/lineage.json"))["counts"]
        record.ingested, record.kept = counts["ingested"], counts["kept"]
        record.status = "done"
        if faults := build.quarantine_faults():
            raise QuarantineError("; ".join(faults))
    except BaseException as error:
        record.status = f"{type(error).__name__}: {error}"
        raise
    finally:
        record.seconds["total"] = round(time.monotonic() - begin, 3)
        record.peak_rss = max(record.peak_rss, peak_rss_bytes())
        build.write_record()
    return record
