"""Codec: values to versioned plain dicts and back. JSON-safe, exact, and no pickle anywhere.

Each kind has its own entry of `_CODECS`: another kind is one more, another version of a kind is
one more reader. The dicts hold text, numbers, lists and dicts alone; floats come back bit for bit
through JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, overload

from gmm_core.answering.scoring import TailCurve
from gmm_core.errors import InvalidInput
from gmm_core.features import Feature
from gmm_core.mixed.levels import LevelShares
from gmm_core.mixed.mixture import AnyMixture, MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.moments import Moments
from gmm_core.summary import BlockSummary, FitReport

__all__ = ["SCHEMAS", "from_dict", "to_dict"]

T = TypeVar("T")
Plain = dict[str, Any]


@dataclass(frozen=True)
class _Codec:
    kind: type[Any]
    schema: str
    write: Callable[[Any], Plain]
    read: Callable[[Mapping[str, Any]], Any]


def to_dict(value: AnyMixture | Moments | TailCurve | BlockSummary | DensityModel) -> Plain:
    """A plain dict with its schema; raises `InvalidInput` for a value of another kind."""
    for codec in _CODECS:
        if type(value) is codec.kind:
            return {"schema": codec.schema} | codec.write(value)
    raise InvalidInput(
        "no codec for this kind of value",
        got=type(value).__name__,
        bound=", ".join(c.kind.__name__ for c in _CODECS),
    )


@overload
def from_dict(data: Mapping[str, Any]) -> Any: ...
@overload
def from_dict(data: Mapping[str, Any], kind: type[T]) -> T: ...
def from_dict(data: Mapping[str, Any], kind: type[Any] | None = None) -> Any:
    """The value that `to_dict` wrote.

    Parameters
    ----------
    kind : the type expected; the schema alone decides when it is left out.

    Raises
    ------
    InvalidInput : no schema, an unknown one, another kind than expected, a key that is missing, or
        content that is not a valid value.
    """
    schema = data.get("schema") if isinstance(data, Mapping) else None
    for codec in _CODECS:
        if codec.schema == schema:
            break
    else:
        raise InvalidInput(
            "unknown schema",
            got=schema,
            bound=", ".join(SCHEMAS),
            remedy="read it with the version that wrote it",
        )
    if kind is not None and codec.kind is not kind:
        raise InvalidInput("another kind of value than expected", got=schema, bound=kind.__name__)
    try:
        return codec.read(data)
    except InvalidInput:
        raise
    except KeyError as error:
        raise InvalidInput(
            f"{schema}: key {error.args[0]!r} is missing", got=sorted(data)
        ) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{schema}: not readable ({error})") from None


def _write_mixture(value: Mixture) -> Plain:
    return {
        "covariance_type": value.covariance_type,
        "weights": value.weights.tolist(),
        "means": value.means.tolist(),
        "covariances": value.covariances.tolist(),
    }


def _read_mixture(data: Mapping[str, Any]) -> Mixture:
    return Mixture(data["weights"], data["means"], data["covariances"], data["covariance_type"])


def _write_mixed(value: MixedMixture) -> Plain:
    return {
        "numeric": to_dict(value.numeric),
        "level_probabilities": [table.tolist() for table in value.level_probabilities],
    }


def _read_mixed(data: Mapping[str, Any]) -> MixedMixture:
    return MixedMixture(from_dict(data["numeric"], Mixture), tuple(data["level_probabilities"]))


def _any_mixture(data: Mapping[str, Any]) -> AnyMixture:
    value = from_dict(data)
    if not isinstance(value, AnyMixture):
        raise InvalidInput(
            "another kind of value than expected",
            got=data.get("schema"),
            bound="Mixture or MixedMixture",
        )
    return value


def _write_moments(value: Moments) -> Plain:
    return {"weight": value.weight, "mean": value.mean.tolist(), "scatter": value.scatter.tolist()}


def _read_moments(data: Mapping[str, Any]) -> Moments:
    return Moments(data["weight"], data["mean"], data["scatter"])


def _write_tail(value: TailCurve) -> Plain:
    return {"log_density": value.log_density.tolist(), "tail": value.tail.tolist()}


def _read_tail(data: Mapping[str, Any]) -> TailCurve:
    return TailCurve(data["log_density"], data["tail"])


def _write_summary(value: BlockSummary) -> Plain:
    # What a summary has not is not written: others read as they did before there was any.
    levels = {"levels": [_write_levels(one) for one in value.levels]} if value.levels else {}
    coreset = {"coreset": value.coreset.tolist()} if len(value.coreset) else {}
    return (
        levels
        | coreset
        | {
            "stream": value.stream,
            "key": value.key,
            "features": [feature.to_dict() for feature in value.features],
            "mixture": to_dict(value.mixture),
            "moments": to_dict(value.moments),
            "minimum": value.minimum.tolist(),
            "maximum": value.maximum.tolist(),
            "regularisation": value.regularisation.tolist(),
            "fit": asdict(value.fit),
            "input_digest": value.input_digest,
            "fit_fingerprint": value.fit_fingerprint,
        }
    )


def _read_summary(data: Mapping[str, Any]) -> BlockSummary:
    return BlockSummary(
        stream=data["stream"],
        key=data["key"],
        features=tuple(Feature.from_dict(feature) for feature in data["features"]),
        mixture=_any_mixture(data["mixture"]),
        moments=from_dict(data["moments"], Moments),
        minimum=data["minimum"],
        maximum=data["maximum"],
        regularisation=data["regularisation"],
        fit=FitReport(**{field.name: data["fit"][field.name] for field in fields(FitReport)}),
        input_digest=data["input_digest"],
        fit_fingerprint=data["fit_fingerprint"],
        levels=tuple(LevelShares(one["shares"], one["added"]) for one in data.get("levels", ())),
        coreset=data.get("coreset", ()),
    )


def _write_levels(value: LevelShares) -> Plain:
    return {"shares": value.shares.tolist(), "added": value.added.tolist()}


def _write_model(value: DensityModel) -> Plain:
    return {
        "stream": value.stream,
        "features": [feature.to_dict() for feature in value.features],
        "mixture": to_dict(value.mixture),
        "tail": to_dict(value.tail),
        "anomaly_above": value.anomaly_above,
        "component_ids": list(value.component_ids),
    }


def _read_model(data: Mapping[str, Any]) -> DensityModel:
    return DensityModel(
        stream=data["stream"],
        features=tuple(Feature.from_dict(feature) for feature in data["features"]),
        mixture=_any_mixture(data["mixture"]),
        tail=from_dict(data["tail"], TailCurve),
        anomaly_above=data["anomaly_above"],
        component_ids=data.get("component_ids", ()),  # models written before there were labels
    )


_CODECS = (
    _Codec(Mixture, "blockmix/mixture/1", _write_mixture, _read_mixture),
    _Codec(MixedMixture, "blockmix/mixed_mixture/1", _write_mixed, _read_mixed),
    _Codec(Moments, "blockmix/moments/1", _write_moments, _read_moments),
    _Codec(TailCurve, "blockmix/tail_curve/1", _write_tail, _read_tail),
    _Codec(BlockSummary, "blockmix/block_summary/1", _write_summary, _read_summary),
    _Codec(DensityModel, "blockmix/density_model/1", _write_model, _read_model),
)
SCHEMAS = tuple(codec.schema for codec in _CODECS)
