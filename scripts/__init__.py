"""Commands around the library: installing, testing, measuring, training and the sample. The library imports none."""
