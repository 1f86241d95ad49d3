"""Where runs that write a release keep files, results of tasks and exchange files, until the release is complete."""

from __future__ import annotations

from pipeline.storage.store import Store


class WorkFolder:
    """The keys of one recipe's work on a release: `releases/_work/<name>/<recipe8>/…`, numbered by shard.

    files: folder of the finished files, `releases/_new/<name>/<recipe8>`, from which they are moved to the release once
    all of them are there: a run that was stopped, or that lost its lease, leaves the release before it as it is.
    done: keys of results that an interrupted run of the same recipe finished, once `resume` was called.
    """

    def __init__(self, store: Store, name: str, recipe: str) -> None:
        self.store, self.name, self.recipe = store, name, recipe
        self.root = f"releases/_work/{name}"
        self.folder = f"{self.root}/{recipe[:8]}"
        self.files_root = f"releases/_new/{name}"
        self.files = f"{self.files_root}/{recipe[:8]}"
        self.done: set[str] = set()

    def __reduce__(self) -> tuple[type[WorkFolder], tuple[Store, str, str]]:
        return WorkFolder, (self.store, self.name, self.recipe)  # tasks need no list of what is done

    def facts(self, ordinal: int) -> str:
        """Exchange file of the facts of a shard's kept documents."""
        return f"{self.folder}/facts-{ordinal:06d}.arrow"

    def clusters(self, ordinal: int) -> str:
        """Exchange file of a shard's members of clusters."""
        return f"{self.folder}/clusters-{ordinal:06d}.arrow"

    def hosts(self, ordinal: int) -> str:
        """Exchange file of the counts of a shard's hosts."""
        return f"{self.folder}/hosts-{ordinal:06d}.arrow"

    def host_tallies(self, ordinal: int) -> str:
        """Exchange file of the tallies of a shard's hosts, for expectations."""
        return f"{self.folder}/expect-{ordinal:06d}.arrow"

    def links(self, ordinal: int) -> str:
        """Exchange file of what links a shard's kept documents, for the hold-out."""
        return f"{self.folder}/links-{ordinal:06d}.arrow"

    def positions(self, ordinal: int) -> str:
        """Exchange file of where a shard's documents go."""
        return f"{self.folder}/place-{ordinal:06d}.arrow"

    def rows(self, output: int, ordinal: int) -> str:
        """Exchange file of the rows that a shard sends to an output."""
        return f"{self.folder}/map-{output:03d}-{ordinal:06d}.arrow"

    def held(self, ordinal: int) -> str:
        """Exchange file of which of a shard's kept documents are held out."""
        return f"{self.folder}/held-{ordinal:06d}.arrow"

    def file(self, name: str, number: int) -> str:
        """Exchange file or report of a task of a pass, see passes."""
        return f"{self.folder}/{name}-{number:06d}.arrow"

    def result(self, name: str, number: int) -> str:
        """The result of a task that is not run again."""
        return f"{self.folder}/{name}-{number:06d}.json"

    def resume(self) -> None:
        """Find what an interrupted run of this recipe finished, and delete what runs of other recipes left."""
        for root, folder in ((self.root, self.folder), (self.files_root, self.files)):
            keys = [key for key, _ in self.store.list(root)]
            for other in sorted({key[: len(folder)] for key in keys} - {folder}):
                self.store.delete_prefix(other)
        self.done = {key for key, _ in self.store.list(self.folder)}

    def is_empty(self) -> bool:
        """Whether no run of any recipe left anything."""
        return all(next(self.store.list(root), None) is None for root in (self.root, self.files_root))

    def delete(self) -> None:
        """Delete everything, once the release is complete."""
        self.forget()
        self.store.delete_prefix(self.files_root)

    def forget(self) -> None:
        """Delete results and exchange files, and keep the files: a run that is stopped from here on starts again."""
        self.store.delete_prefix(self.root)
