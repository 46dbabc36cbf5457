"""Packages that only some answers need, imported when these are asked for."""

from __future__ import annotations

import importlib
from typing import Any

from gmm_core.errors import MissingExtra

__all__ = ["optional"]


def optional(module: str, purpose: str, install: str) -> Any:
    """The module of that name; raises `MissingExtra` saying what to install.

    By name, so that it is no import of the code which a served model carries: the model's
    environment need not hold what it never uses.

    >>> optional("math", "sines", "math").pi > 3
    True
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{purpose} need {module.partition('.')[0]}", remedy=f"run: pip install {install}"
        ) from error
