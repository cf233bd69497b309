"""Does anyone who took no part still recognise them? Originals and results in, a verdict and its reasons out."""
