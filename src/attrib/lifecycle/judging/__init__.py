"""How good a model is, and whether it can be trusted: metrics, leaks, drift."""
