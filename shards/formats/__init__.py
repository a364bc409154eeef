"""The files of a corpus: their byte layout, and how they are read and written."""
