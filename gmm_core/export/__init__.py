"""Export: mixtures for places without Blockmix, and from them.

edge.py      a diagonal model as plain numbers; JSON or a C header of them
scikit.py    scikit-learn's GaussianMixture, both ways
spark_ml.py  the folder that Spark ML's GaussianMixtureModel is saved in, both ways; no JVM
onnx_graph.py  an ONNX graph, by skl2onnx

All but the edge export are of mixtures in feature space: the features' transforms stay with the caller.

There is no PMML. Its clustering model may list covariances as statistics, but finds a row's cluster by a
distance or similarity, without weights and determinants, and has no density: what a reader would compute is
not the model.
"""

from __future__ import annotations

__all__: list[str] = []
