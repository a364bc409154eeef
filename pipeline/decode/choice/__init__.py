"""Chooses the device of delivery and the decoder, from the machine, the corpus and measured figures."""
