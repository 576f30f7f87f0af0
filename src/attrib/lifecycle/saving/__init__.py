"""Saved models: numbers, not code."""
