"""The public surface of `gmm_core`, and what importing it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import gmm_core

PACKAGE = Path(gmm_core.__file__).parent
EDGES = {"config", "preload", "settings"}
NUMERICS = [
    *sorted(path.stem for path in PACKAGE.glob("[a-z]*.py") if path.stem not in EDGES),
    *sorted(
        f"{folder}.{path.stem}"
        for folder in ("answering", "covariances", "drift", "fitting", "mixed", "normalising")
        for path in (PACKAGE / folder).glob("[a-z]*.py")
    ),
]
ALLOWED = {"gmm_core", "numpy", *sys.stdlib_module_names}


def test_the_list_is_sorted_short_and_true():
    assert gmm_core.__all__ == sorted(gmm_core.__all__)
    assert len(gmm_core.__all__) <= 36
    for name in gmm_core.__all__:
        value = getattr(gmm_core, name)
        assert name in dir(gmm_core)
        assert value.__name__ == name
        assert value.__module__.startswith("gmm_core.")


def test_what_is_listed_is_what_can_be_loaded_and_what_type_checkers_see():
    assert set(gmm_core.__all__) == set(gmm_core._MODULE_OF)
    source = importlib.util.find_spec("gmm_core").loader.get_source("gmm_core")
    for name, module in gmm_core._MODULE_OF.items():
        line = next(li for li in source.splitlines() if f"from gmm_core.{module} import" in li)
        assert name in line.replace(",", " ").split()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = gmm_core.nonsense


@pytest.mark.parametrize("name", NUMERICS)
def test_each_module_lists_its_own_names(name):
    module = importlib.import_module(f"gmm_core.{name}")
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, public) for public in module.__all__)
    assert module.__doc__


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_importing_the_package_loads_nothing_else():
    loaded = run(
        "import sys, gmm_core; print([m for m in sys.modules if m.startswith('gmm_core')])"
    )
    assert loaded.strip() == "['gmm_core']"


def test_the_numerics_import_numpy_and_the_standard_library_alone():
    imports = "; ".join(f"import gmm_core.{name}" for name in NUMERICS)
    before = "import sys; before = set(sys.modules)"
    after = "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    loaded = set(run(f"{before}; {imports}; {after}").split())
    assert {"gmm_core", "numpy"} <= loaded
    assert loaded - ALLOWED <= {name for name in loaded if name.startswith("_")}
