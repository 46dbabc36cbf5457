"""The exception tree: every error Blockmix raises on purpose.

BlockmixError
├── InvalidInput          what the caller gave is wrong: repeating the call cannot help
│   ├── InvalidStream     a stream file: names the file, the key, the value and what is allowed
│   ├── InvalidSource     what a source delivered is not what its stream declares, or not readable
│   └── NotFound          a block, summary, model version or alias that does not exist
├── ComputationFailed     the input was well formed, the work did not succeed: a retry may help
│   ├── FitFailed         expectation maximisation could not give a usable mixture
│   └── ServiceUnavailable  Spark, MLflow or the warehouse did not answer
├── MissingExtra          an optional package is not installed; the message says how to get it
└── Refused               a gate said no, and its report says why
    ├── BlockQuarantined  the block is in quarantine, the window goes on without it
    ├── ModelRefused      the window mixture was not registered
    └── OutputRefused     the transformed rows were not published
"""

from __future__ import annotations

import reprlib
from typing import Any

__all__ = [
    "BlockQuarantined",
    "BlockmixError",
    "ComputationFailed",
    "FitFailed",
    "InvalidInput",
    "InvalidSource",
    "InvalidStream",
    "MissingExtra",
    "ModelRefused",
    "NotFound",
    "OutputRefused",
    "Refused",
    "ServiceUnavailable",
]

_MISSING = object()
_LONGEST = 200  # characters of a value in a message: longer ones are cut short


class _Brief(reprlib.Repr):
    """The first parts of a long list, the shape of an array, both ends of a long text."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = _LONGEST

    def repr_ndarray(self, array: Any, level: int) -> str:
        return f"array of shape {array.shape}"


def _brief(value: Any) -> str:
    """A value as a message shows it."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    text = repr(value)
    return text if len(text) <= _LONGEST else _Brief().repr(value)


class BlockmixError(Exception):
    """Root of the tree. The message says what is wrong, the value got, the bound and the remedy.

    Parameters
    ----------
    problem : what is wrong, as a clause without a full stop.
    got : the offending value; left out of the message when not given, cut short there when long.
    bound : what is allowed.
    remedy : what to do about it, in the imperative.
    """

    def __init__(
        self, problem: str, *, got: Any = _MISSING, bound: str = "", remedy: str = ""
    ) -> None:
        self.problem = problem
        self.got = None if got is _MISSING else got
        self.bound = bound
        self.remedy = remedy
        message = problem
        if got is not _MISSING:
            message += f": got {_brief(got)}"
        if bound:
            message += f"; allowed: {bound}"
        if remedy:
            message += f". {remedy[0].upper()}{remedy[1:]}."
        super().__init__(message)

    def to_dict(self) -> dict[str, Any]:
        """Class and message as plain values: how an error leaves a process as text."""
        return {"kind": type(self).__name__, "message": str(self)}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> BlockmixError:
        """The error that `to_dict` told of: same class, same message, same pages.

        >>> BlockmixError.from_dict(NotFound("no block", got=3).to_dict())
        NotFound('no block: got 3')
        """
        if data["kind"] not in __all__:
            raise InvalidInput("kind of an error", got=data["kind"], bound=", ".join(__all__))
        error: BlockmixError = globals()[data["kind"]](data["message"])
        if isinstance(error, Refused):
            error.pages = data["pages"]
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders (Spark workers, Airflow tasks); keyword-only
        # arguments do not survive the default protocol.
        return (_rebuild, (type(self), dict(self.__dict__), self.args))


def _rebuild(
    kind: type[BlockmixError], state: dict[str, Any], args: tuple[Any, ...]
) -> BlockmixError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = args
    return error


class InvalidInput(BlockmixError, ValueError):
    """What the caller gave is wrong: repeating the call cannot help."""


class InvalidStream(InvalidInput):
    """A stream file is wrong: the message names the file, the key, the value and what is allowed."""


class InvalidSource(InvalidInput):
    """What a source delivered is not what its stream declares, or cannot be read."""


class NotFound(InvalidInput, LookupError):
    """A block, summary, model version or alias that does not exist."""

    __str__ = BlockmixError.__str__


class ComputationFailed(BlockmixError, RuntimeError):
    """The input was well formed but the work did not succeed."""


class FitFailed(ComputationFailed, ValueError):
    """Expectation maximisation could not give a usable mixture.

    A `ValueError` too, as scikit-learn's users expect.
    """


class ServiceUnavailable(ComputationFailed):
    """A service that the pipeline needs did not answer."""


class MissingExtra(BlockmixError, ImportError):
    """An optional package is not installed; the message says how to get it."""

    __str__ = BlockmixError.__str__


class Refused(BlockmixError):
    """A gate said no. Rows that it refused are kept aside, together with the report.

    `pages` maps a link's name ("data_docs", "mlflow") to the address of the page that shows why.
    """

    def __init__(
        self,
        problem: str,
        *,
        got: Any = _MISSING,
        bound: str = "",
        remedy: str = "",
        pages: dict[str, str] | None = None,
    ) -> None:
        super().__init__(problem, got=got, bound=bound, remedy=remedy)
        self.pages = pages or {}

    def to_dict(self) -> dict[str, Any]:
        """As of every error, and the pages."""
        return {**super().to_dict(), "pages": self.pages}


class BlockQuarantined(Refused):
    """The block is in quarantine; the window goes on without it."""


class ModelRefused(Refused):
    """The window mixture was not registered."""


class OutputRefused(Refused):
    """The transformed rows were not published."""
