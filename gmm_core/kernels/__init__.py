"""The compiled inner loops of EM. `gmm_core.fitting.compiled` is their face; nothing else imports them.

Importing this package loads numba, which takes a second: it is done inside the functions that need it.
"""

__all__: list[str] = []
