"""attrib beside other packages of the field, each in an environment of its own and never a dependency."""
