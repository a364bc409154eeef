"""Zero-shot classification by the hashtags of a model: calibrated outputs, and WordNet from labels to classes."""
