"""The folder of a served model: mixture as JSON, the code that reads it, signature, example.

The code goes along under a name of its own, `blockmix_model_<digest of the sources>`. Carried as
`gmm_core` it would hide an installed gmm_core from the job that loads the model, and two versions
written by different releases could not be used in one process.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmm_core import codec
from gmm_core.errors import InvalidInput
from gmm_core.features import OTHER
from gmm_core.model import OUTPUTS, DensityModel
from gmm_core.registry.pictures import save_pictures

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

__all__ = [
    "MODEL_FILE",
    "CarriedCode",
    "carried_code",
    "example_rows",
    "save_served_model",
    "signature",
]

MODEL_FILE = "model.json"
_PACKAGE = "gmm_core"
_SOURCES = Path(__file__).resolve().parent.parent
_SCRIPT = Path(__file__).with_name("served_model.py")
_FOLDERS = ("answering", "covariances", "fitting", "mixed", "normalising")  # numerics of models
_MODULE = rf"\.(?:(?:{'|'.join(_FOLDERS)})\.)?\w+"
_IMPORT = re.compile(rf"^(\s*from ){_PACKAGE}({_MODULE} import )", flags=re.MULTILINE)


@dataclass(frozen=True)
class CarriedCode:
    """The script and the modules that it needs, under the package name they travel with.

    `modules` maps files of the package to their sources; `requirements` are the third-party packages that the
    script and the modules import, pinned to the installed versions.
    """

    package: str
    script: str
    modules: dict[str, str]
    requirements: tuple[str, ...]


@cache
def carried_code() -> CarriedCode:
    """The served model's script and all modules of gmm_core that it reaches, and nothing else.

    Raises `InvalidInput` when one of them imports gmm_core in a way that cannot be renamed.
    """
    sources: dict[str, str] = {}
    outside: set[str] = set()
    waiting = [_SCRIPT]
    while waiting:
        path = waiting.pop()
        name = path.name if path == _SCRIPT else str(path.relative_to(_SOURCES))
        if name in sources:
            continue
        sources[name] = path.read_text(encoding="utf-8")
        for module in _imports(path, sources[name]):
            if module.startswith(f"{_PACKAGE}."):
                below = module.removeprefix(f"{_PACKAGE}.").split(".")
                waiting.append(_SOURCES.joinpath(*below).with_suffix(".py"))
                waiting.extend(_SOURCES / folder / "__init__.py" for folder in below[:-1])
            else:
                outside.add(module.partition(".")[0])
    digest = hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()[:12]
    package = f"blockmix_model_{digest}"
    renamed = {name: _IMPORT.sub(rf"\1{package}\2", text) for name, text in sources.items()}
    init = f'"""Numerics of a served Blockmix model, from sources with digest {digest}."""\n'
    # MLflow pins itself, and the standard library is there.
    needed = sorted(outside - sys.stdlib_module_names - {"mlflow"})
    return CarriedCode(
        package=package,
        script=renamed.pop(_SCRIPT.name),
        modules={"__init__.py": init, **renamed},
        requirements=tuple(f"{name}=={version(name)}" for name in needed),
    )


def _imports(path: Path, source: str) -> Iterator[str]:
    """Names of the modules that a source file imports, at its top or inside a function."""
    for node in _running(ast.parse(source)):
        if isinstance(node, ast.Import):
            names, carried = [alias.name for alias in node.names], False
        elif isinstance(node, ast.ImportFrom):
            # A relative import can only mean this package, and cannot be renamed.
            names, carried = [_PACKAGE if node.level else node.module or ""], node.level == 0
        else:
            continue
        for name in names:
            carried = carried and re.fullmatch(_PACKAGE + _MODULE, name) is not None
            if name.partition(".")[0] == _PACKAGE and not carried:
                raise InvalidInput(
                    f"{path.name}, line {node.lineno}: a model cannot carry this import",
                    got=ast.unparse(node),
                    bound=f"from {_PACKAGE}.MODULE import NAME",
                )
            yield name


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that are there for type checkers alone."""
    waiting = deque([tree])
    while waiting:
        node = waiting.popleft()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def example_rows(model: DensityModel) -> dict[str, list[float] | list[str]]:
    """Plausible rows in source units: the centre of each component, largest weight first.

    Of a categorical feature, the declared level that is most probable there.
    """
    table = sorted(model.component_table(), key=lambda row: (-row["weight"], row["component"]))
    rows: dict[str, list[float] | list[str]] = {
        feature.name: [float(row["centre"]) for row in table if row["feature"] == feature.name]
        for feature in model.numeric_features
    }
    levels, weights = model.level_table(), model.mixture.weights
    order = sorted(range(len(weights)), key=lambda component: (-weights[component], component))
    for feature in model.features:
        if feature.categorical:
            rows[feature.name] = [_likeliest(levels, one, feature.name) for one in order]
    return rows


def _likeliest(levels: list[dict[str, Any]], component: int, feature: str) -> str:
    found = [
        row
        for row in levels
        if (row["component"], row["feature"]) == (component, feature) and row["level"] != OTHER
    ]
    return str(max(found, key=lambda row: float(row["probability"]))["level"])


def signature(model: DensityModel) -> ModelSignature:
    """Features in source units as doubles, categorical ones as text; `output` and `form` by name."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, feature.name, required=False)
                if feature.categorical
                else ColSpec(DataType.double, feature.name)
                for feature in model.features
            ]
        ),
        params=ParamSchema(
            [
                # Nothing said: as the model was loaded, see `model_config` below.
                ParamSpec("output", DataType.string, ""),
                ParamSpec("form", DataType.string, ""),
            ]
        ),
    )


def save_served_model(model: DensityModel, card: str, logged: LoggedModel, scratch: Path) -> Path:
    """Write the model folder, with model card and pictures beside MLflow's own files; returns it.

    Parameters
    ----------
    card : the model card, markdown, which shows the pictures.
    logged : MLflow's entry for the model, whose ids the folder is to carry.
    scratch : an empty folder, for the model folder and for what MLflow copies into it.
    """
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model

    code = carried_code()
    folder, package = scratch / "folder", scratch / code.package
    script, mixture = scratch / _SCRIPT.name, scratch / MODEL_FILE
    package.mkdir()
    for name, source in code.modules.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(source, encoding="utf-8")
    script.write_text(code.script, encoding="utf-8")
    content = json.dumps(codec.to_dict(model), allow_nan=False, indent=1)
    mixture.write_text(content, encoding="utf-8")
    mlflow.pyfunc.save_model(
        path=str(folder),
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            run_id=logged.source_run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        ),
        python_model=str(script),
        artifacts={"model": str(mixture)},
        code_paths=[str(package)],
        signature=signature(model),
        input_example=(pd.DataFrame(example_rows(model)), {"output": OUTPUTS[0]}),
        pip_requirements=list(code.requirements),
        model_config={"output": OUTPUTS[0], "form": "rows"},
        metadata={"stream": model.stream, "anomaly_above": model.anomaly_above},
    )
    (folder / "model_card.md").write_text(card, encoding="utf-8")
    save_pictures(model, folder)
    return folder
