"""The pipeline: five verbs over four ports."""
