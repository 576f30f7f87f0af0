"""Everything that touches the outside: reading sources, writing sinks, the manifest of a run."""
