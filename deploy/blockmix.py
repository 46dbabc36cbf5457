#!/opt/venv/bin/python
"""The command line inside the image, where the project is a folder and not an installed package."""

from __future__ import annotations

from gmm_core.cli.app import main

main()
