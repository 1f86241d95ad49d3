"""Errors with a message for the user, each with the exit code of the command.

BicorpusError (1)
├── UsageError (2)           a command, run file, input, model or ratio that cannot work as given
│   ├── ConfigError          a value out of range, an unknown key
│   ├── InputError           a missing or unreadable input file
│   └── MixError             an impossible ratio
├── StoreError               the store cannot be read or written
│   ├── ConflictError        another writer was faster (compare-and-swap failed)
│   └── DamagedError         an object of the store is damaged or missing; a run makes it again, if it can
│       └── AlignmentError   a file does not belong to the shard, recipe or generation it is read for
├── StageError               a stage raised an error or violated its contract; the message names the documents
├── QuarantineError (3)      finished, but more input was quarantined than the run file allows
├── LimitError (4)           stopped at a limit of cost; another run goes on
├── ExpectationError (5)     an expectation failed: conservation, a guard, a check of `verify`
└── LeaseError (75)          another run holds the lease of a name that this run has to move
"""


class BicorpusError(Exception):
    """Base class of all errors with a message for the user."""

    exit_code = 1


class UsageError(BicorpusError):
    """The request itself is invalid."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, missing or out of range."""


class InputError(UsageError):
    """An input file is missing or cannot be opened at all."""


class MixError(UsageError):
    """A mix is impossible within its limits."""


class StoreError(BicorpusError):
    """The store cannot be read or written."""


class ConflictError(StoreError):
    """An object changed between reading and writing it."""


class DamagedError(StoreError):
    """An object of a store is damaged or missing. key: of the object, by which a run finds how to make it again."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message, key)  # both, so that the error can be pickled
        self.key = key

    def __str__(self) -> str:
        return str(self.args[0])


class AlignmentError(DamagedError):
    """A file belongs to another shard, recipe or generation than the one it is read for."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message, key)


class StageError(BicorpusError):
    """A stage raised an error or violated its contract. row: of the batch, the document at fault, if it is known."""

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


class QuarantineError(BicorpusError):
    """Too much input was quarantined."""

    exit_code = 3


class LimitError(BicorpusError):
    """The run has used more than a limit allows."""

    exit_code = 4


class ExpectationError(BicorpusError):
    """A condition that must hold is violated."""

    exit_code = 5


class LeaseError(BicorpusError):
    """Another run holds the lease of a name."""

    exit_code = 75
