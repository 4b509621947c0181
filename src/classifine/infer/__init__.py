"""Running networks forward: evaluation, prediction and serving."""
