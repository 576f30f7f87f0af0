"""The parts of an experiment: plan, worlds, scoring, processes, results, pages; see :mod:`attrib.experiment`."""
