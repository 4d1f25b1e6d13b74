"""The checker: a history goes in, a verdict comes out. Pure: no input, no output, no clock."""
