"""What a run and a version say about a fit or a window mixture: plain dictionaries and text."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from typing import Any

from gmm_core.errors import InvalidInput
from gmm_core.health.changes import block_measures
from gmm_core.mixed.mixture import AnyMixture, numeric_part
from gmm_core.model import OUTPUTS, DensityModel
from gmm_core.pipeline.ports import GateReport
from gmm_core.pipeline.streams import Stream
from gmm_core.registry.pictures import CALIBRATION, DENSITIES
from gmm_core.summary import BlockSummary

__all__ = [
    "LINEAGE",
    "check_lineage",
    "component_columns",
    "describe",
    "fit_metrics",
    "fit_params",
    "fit_tags",
    "model_card",
    "report_digest",
    "report_metrics",
    "report_record",
    "report_tags",
    "window_metrics",
    "window_params",
]

LINEAGE = (
    "block_set_hash", "first_block", "last_block", "blocks", "rows", "code_version", "input_digest",
)  # fmt: skip


def check_lineage(tags: dict[str, str]) -> None:
    """Raise `InvalidInput` unless the tags carry the whole lineage of a version."""
    missing = [name for name in LINEAGE if not tags.get(name)]
    if missing:
        raise InvalidInput(
            f"a version needs its whole lineage, and {', '.join(missing)} is missing",
            got=sorted(tags),
            bound=", ".join(LINEAGE),
        )


def fit_params(stream: Stream, summary: BlockSummary) -> dict[str, str]:
    """Settings of the fit, as run parameters."""
    return {
        **_shape(summary.mixture),
        "features": _features(summary),
        "regularisation": str(stream.mixture.regularisation),
        "restarts": str(stream.mixture.restarts),
        "max_iterations": str(stream.mixture.max_iterations),
        "tolerance": str(stream.mixture.tolerance),
        "seed": str(stream.mixture.seed),
    }


def fit_metrics(summary: BlockSummary) -> dict[str, float]:
    """How the fit went, and the health of the mixture (`gmm_core.health.catalogue`)."""
    return {
        "rows": float(summary.rows),
        "restarts": float(summary.fit.restarts),
        **block_measures(summary),
    }


def fit_tags(summary: BlockSummary) -> dict[str, str]:
    """What a fit's run is found by."""
    return {
        "kind": "fit",
        "block_key": summary.key,
        "input_digest": summary.input_digest,
        "summary_digest": summary.digest,
        "fit_fingerprint": summary.fit_fingerprint,
        "status": summary.fit.status,
    }


def window_params(stream: Stream, model: DensityModel) -> dict[str, str]:
    """Settings of the reduction and of the scores, as run parameters."""
    return {
        **_shape(model.mixture),
        "features": _features(model),
        "window": str(stream.window.blocks),
        "half_life": str(stream.window.half_life or "none"),
        "strategy": stream.window.strategy,
        "anomaly_above": str(model.anomaly_above),
    }


def window_metrics(model: DensityModel, tags: dict[str, str]) -> dict[str, float]:
    """Size of the window and health of its mixture."""
    return {
        "rows": float(tags["rows"]),
        "effective_rows": float(tags.get("effective_rows", tags["rows"])),
        "blocks": float(tags["blocks"]),
        **_health(model.mixture),
    }


def report_metrics(report: GateReport) -> dict[str, float]:
    """`gate/<check>`: 1 passed, 0 failed; and how many failed."""
    metrics: dict[str, float] = {"gate_failures": float(len(report.failures))}
    for check in report.checks:
        # MLflow allows only these characters in a metric's name.
        plain = re.sub(r"[^\w.\- ]+", "_", check.name, flags=re.ASCII).strip(" _.")
        name = f"gate/{plain or 'check'}"
        metrics[name] = min(metrics.get(name, 1.0), float(check.passed))
    return metrics


def report_tags(report: GateReport) -> dict[str, str]:
    """The gate's answer, and the digest that tells whether another report says the same."""
    return {
        "gate": "passed" if report.passed else "failed",
        "gate_score": report.score,
        "gate_digest": report_digest(report),
        **({"gate_page": report.page} if report.page else {}),
    }


def report_record(report: GateReport) -> dict[str, Any]:
    """The report as a JSON artifact."""
    return {
        "schema": "blockmix/gate_report/1",
        "gate": report.gate,
        "passed": report.passed,
        "score": report.score,
        "page": report.page,
        "checks": [asdict(check) for check in report.checks],
    }


def report_digest(report: GateReport) -> str:
    """Hash of what was checked and what came out; the page's address does not count."""
    content = json.dumps({**report_record(report), "page": ""}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def component_columns(model: DensityModel) -> dict[str, list[Any]]:
    """The component table by column, largest weight first."""
    table = _by_weight(model)
    return {column: [row[column] for row in table] for column in table[0]}


def describe(model: DensityModel, tags: dict[str, str]) -> str:
    """One line on a version: window, k, rows."""
    return (
        f"Window mixture of {tags['blocks']} blocks, {tags['first_block']} to "
        f"{tags['last_block']}: {model.mixture.n_components} components "
        f"({model.mixture.covariance_type}), {int(tags['rows']):,} rows."
    )


def model_card(
    stream: Stream, model: DensityModel, tags: dict[str, str], report: GateReport
) -> str:
    """What the model is, how it is used, what it was made from: markdown."""
    features = [
        [f.name, f.transform, bounds.unit or "-", f"{bounds.minimum:g} to {bounds.maximum:g}"]
        for f, bounds in zip(model.numeric_features, stream.numeric_features.values(), strict=True)
    ]
    features += [
        [f.name, "levels", "-", ", ".join(f.level_names)] for f in model.features if f.categorical
    ]
    components = [
        [
            str(row["component"]), str(row["component_id"]), f"{row['weight']:.4f}", row["feature"],
            f"{row['centre']:.4g}", f"{row['low']:.4g} to {row['high']:.4g}",
        ]
        for row in _by_weight(model)
    ]  # fmt: skip
    return f"""# {stream.name}, {tags["first_block"]} to {tags["last_block"]}

{stream.description}

{describe(model, tags)}
Owner: {stream.owner}. Gate: {report.score} checks passed.

## Use

Rows in source units go in, the output that is asked for comes out:
`model.predict(rows, params={{"output": NAME}})` with {", ".join(OUTPUTS)}.

`score` is the share of what the model itself would draw that is denser than the row, 0 to 1;
above {model.anomaly_above:g} a row counts as an anomaly. That is a reason to look at the row, not
a verdict: the mixture says how the rows of its window were distributed, and nothing about causes.
`explanation` says in words which value is how far from what its component has beside the others.

![Of rows drawn anew, the share that the score calls as unusual]({CALIBRATION})

## Features

{_table(["feature", "transform", "unit", "sane values"], features)}

![Density of each feature]({DENSITIES})

## Components, in source units

An id stays with a component from one version to the next; the component's number is its place in this one.

{_table(["component", "id", "weight", "feature", "centre", "one standard deviation"], components)}

## Lineage

{_table(["tag", "value"], [[name, tags[name]] for name in sorted(tags)])}
"""


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _by_weight(model: DensityModel) -> list[dict[str, Any]]:
    # A stable sort: the features of a component keep their declared order.
    return sorted(model.component_table(), key=lambda row: (-row["weight"], row["component"]))


def _shape(mixture: AnyMixture) -> dict[str, str]:
    return {"k": str(mixture.n_components), "covariance_type": str(mixture.covariance_type)}


def _features(holder: BlockSummary | DensityModel) -> str:
    return ", ".join(
        f.name if f.transform == "identity" else f"{f.transform}({f.name})" for f in holder.features
    )


def _health(mixture: AnyMixture) -> dict[str, float]:
    return {
        "worst_condition_number": float(numeric_part(mixture).condition_numbers().max()),
        "largest_weight": float(mixture.weights.max()),
        "smallest_weight": float(mixture.weights.min()),
    }
