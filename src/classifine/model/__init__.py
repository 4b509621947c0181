"""Choosing, loading and storing networks."""
