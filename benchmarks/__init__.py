"""Time and memory; accuracy is an experiment (see experiments/)."""
