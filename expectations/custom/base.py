"""The base of expectations that are laws: evidence of a batch, judged by named bounds, shown as sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import great_expectations.compatibility.pydantic as pydantic
from great_expectations.expectations.expectation import (
    BatchExpectation,
    render_suite_parameter_string,
)
from great_expectations.render import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer
from great_expectations.validator.metric_configuration import MetricConfiguration

from expectations.custom.metric import METRIC
from expectations.evidence import Evidence, model_of
from gmm_core.codec import to_dict
from gmm_core.invariants import Law
from gmm_core.model import DensityModel

__all__ = ["LawExpectation"]


class LawExpectation(BatchExpectation):
    """An expectation whose success is that every one of its laws holds.

    Parameters
    ----------
    mixture : a `DensityModel`, its codec dict, that as JSON text, or an MLflow address (models:/...).
        Kept as text, so that the expectation can be written to a file context. An alias is looked up at
        each validation; `details["mixture"]` of the result names the version it stood for.
    """

    mixture: str
    kind: ClassVar[str]
    says: ClassVar[str]

    @pydantic.validator("mixture", pre=True)
    def _as_text(cls, value: Any) -> Any:  # noqa: N805
        if isinstance(value, DensityModel):
            value = to_dict(value)
        text = json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else value
        if isinstance(text, str) and text.startswith("{"):
            model_of(text)  # a wrong dict is refused here, not in the middle of a validation
        return text

    @property
    def model(self) -> DensityModel:
        """The model that `mixture` names."""
        return model_of(self.mixture)

    def laws(self, found: Evidence) -> Sequence[Law]:
        """What must hold of the evidence."""
        raise NotImplementedError

    def asked(self) -> dict[str, Any]:
        """What the evidence needs to know besides the mixture."""
        return {}

    def get_validation_dependencies(self, execution_engine=None, runtime_configuration=None):
        """The one metric."""
        needed = super().get_validation_dependencies(execution_engine, runtime_configuration)
        question = {"kind": self.kind, "mixture": self.mixture, **self.asked()}
        needed.set_metric_configuration(
            METRIC,
            MetricConfiguration(
                METRIC,
                metric_domain_kwargs={"batch_id": self.batch_id},
                metric_value_kwargs={"question": json.dumps(question, sort_keys=True)},
            ),
        )
        return needed

    def _validate(self, metrics, runtime_configuration=None, execution_engine=None):
        found = metrics[METRIC]
        if "missing" in found:
            return {
                "success": False,
                "result": {"observed_value": f"columns missing: {', '.join(found['missing'])}"},
            }
        # Whatever an alias does meanwhile, evidence and laws are of one version.
        laws = list(self.copy(update={"mixture": found["mixture"]}).laws(found))
        broken = [law for law in laws if not law.holds]
        shown = "; ".join(map(_said, broken)) or f"all {len(laws)} hold"
        details = [
            {
                "law": law.name,
                "got": law.got,
                "lower": law.lower,
                "upper": law.upper,
                "holds": law.holds,
            }
            for law in laws
        ]
        return {
            "success": not broken,
            "result": {
                "observed_value": shown,
                "details": {"laws": details, "mixture": found["named"]},
            },
        }

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    @render_suite_parameter_string
    def _prescriptive_renderer(
        cls, configuration=None, result=None, runtime_configuration=None, **_
    ):
        return [
            RenderedStringTemplateContent(
                content_block_type="string_template",
                string_template={"template": cls.says, "params": {}},
            )
        ]


def _said(law: Law) -> str:
    bounds = [
        f"{law.lower:.4g}" if law.lower is not None else "",
        f"{law.upper:.4g}" if law.upper is not None else "",
    ]
    allowed = (
        f"{bounds[0]} to {bounds[1]}"
        if all(bounds)
        else (f"at least {bounds[0]}" if bounds[0] else f"at most {bounds[1]}")
    )
    return f"{law.name}: {law.got:.4g}, allowed {allowed}"
