"""Where runs that write a release keep finished results and exchange files, until the release is complete."""

from __future__ import annotations

from pipeline.storage.store import Store


class WorkFolder:
    """The keys of one recipe's work on a release: `releases/_work/<name>/<recipe8>/…`, numbered by shard.

    done: keys of results that an interrupted run of the same recipe finished, once `resume` was called.
    """

    def __init__(self, store: Store, name: str, recipe: str) -> None:
        self.store, self.name, self.recipe = store, name, recipe
        self.root = f"releases/_work/{name}"
        self.folder = f"{self.root}/{recipe[:8]}"
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
        """Find what an interrupted run of this recipe finished, and delete what runs of other recipes left.

        Those describe files of the release that are overwritten from here on.
        """
        keys = [key for key, _ in self.store.list(self.root)]
        self.done = {key for key in keys if key.startswith(f"{self.folder}/")}
        for folder in sorted({key[: len(self.folder)] for key in keys} - {self.folder}):
            self.store.delete_prefix(folder)

    def is_empty(self) -> bool:
        """Whether no run of any recipe left anything."""
        return next(self.store.list(self.root), None) is None

    def delete(self) -> None:
        """Delete everything, once the release is complete."""
        self.store.delete_prefix(self.root)
