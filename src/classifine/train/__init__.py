"""Fitting networks; the only place that uses the Trainer of transformers."""
