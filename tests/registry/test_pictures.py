"""The pictures of a model card."""

from __future__ import annotations

import numpy as np
import pytest

from gmm_core.features import Feature
from gmm_core.mixed.mixture import MixedMixture
from gmm_core.mixture import Mixture
from gmm_core.model import DensityModel
from gmm_core.registry import pictures

FEATURES = (
    Feature("amount", "log"), Feature("items", "log1p"), Feature("balance", "sqrt"),
    Feature("hour"), Feature("shop", levels=("north", "south")),
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> DensityModel:
    numeric = Mixture(
        [0.6, 0.4], [[3.0, 1.0, 0.1, 9.0], [5.0, 2.0, 3.0, 18.0]], [1.0, 0.5], "spherical"
    )
    return DensityModel.build(
        "till", FEATURES, MixedMixture(numeric, [[[0.1, 0.6, 0.3], [0.2, 0.7, 0.1]]]), 0.99
    )


def test_every_feature_has_a_panel_in_source_units(model):
    panels = pictures._densities(model).axes
    assert [panel.get_xlabel() for panel in panels[:4]] == [f.name for f in FEATURES[:4]]
    for panel, feature in zip(panels[:3], FEATURES[:3], strict=True):
        texts = [float(tick.get_text().replace(",", "")) for tick in panel.get_xticklabels()]
        assert 3 <= len(texts) <= 7
        np.testing.assert_allclose(panel.get_xticks(), feature.forward(texts))
        low, high = panel.get_xlim()
        assert low <= min(panel.get_xticks()) < max(panel.get_xticks()) <= high
    levels = panels[4]
    assert [tick.get_text() for tick in levels.get_yticklabels()] == ["south", "(other)", "north"]
    np.testing.assert_allclose([bar.get_width() for bar in levels.patches], [0.64, 0.22, 0.14])


def test_fresh_rows_lie_on_the_diagonal(model):
    axes = pictures._calibration(model).axes[0]
    line = next(one for one in axes.get_lines() if "fresh" in one.get_label())
    expected, observed = line.get_data()
    np.testing.assert_allclose(np.log(observed / expected)[expected > 0.01], 0, atol=0.25)


def test_both_are_written(model, tmp_path):
    paths = pictures.save_pictures(model, tmp_path)
    assert sorted(path.name for path in paths) == ["calibration.png", "densities.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
