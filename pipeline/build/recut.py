"""The command `release`: write another release from a finished build, without computing annotations."""

from __future__ import annotations

import dataclasses

from pipeline.build.build import Build
from pipeline.config.run_file import RunFile
from pipeline.errors import UsageError
from pipeline.inspect.opened import open_build
from pipeline.planning.session import RunRecord
from pipeline.runtime.engines import Engine
from pipeline.runtime.progress import Progress
from pipeline.storage.store import Store


def cut_release(run: RunFile, store: Store, engine: Engine, progress: Progress, replace: bool) -> RunRecord:
    """Write the release that a run file names from a finished build.

    Args: run, with the release's own name; replace, whether to replace a different release of that name.
    Raises: UsageError if an input, an annotation or a global result is missing, or the name is taken; QuarantineError,
    after everything is written, if too much input was quarantined.
    """
    comment = f"# cut with `bicorpus release --name {run.release.name} --mix {run.mix.default}`\n"
    run = dataclasses.replace(run, text=comment + run.text)
    releasing = open_build(run, store, engine=engine, progress=progress).releasing
    build = Build(releasing.session)
    if not (replace or releasing.is_current()) and store.exists(releasing.head_key()):
        raise UsageError(
            f"{store.url}: release {run.release.name!r} exists with other settings; choose another --name, or "
            "replace it with --force"
        )
    store.check()
    with build.recorded(), build.using_store():
        build.count_quarantined()
        build.release()
    return build.session.record
