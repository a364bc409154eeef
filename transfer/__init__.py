"""Judges a pretrained model on a labelled set the way the papers do: `tagmill transfer`."""
