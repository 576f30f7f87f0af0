"""Engines: where and how journeys are tallied."""
