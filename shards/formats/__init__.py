"""Files of a corpus, byte by byte."""
