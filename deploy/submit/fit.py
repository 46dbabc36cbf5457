"""The application that spark-submit runs for a block fit: see gmm_core/pipeline/submitting.py."""

from __future__ import annotations

from gmm_core.pipeline.submitting import main

main()
