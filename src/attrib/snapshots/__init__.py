"""Customers as they stood at given dates: features from before, labels from after (docs/snapshots.md)."""
