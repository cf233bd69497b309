"""The audit: do recognisers that took no part still know the people? Originals and results in, a verdict out."""
