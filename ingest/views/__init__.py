"""Labels and repeats of a corpus that is there: vocabularies, resampling, label noise."""
