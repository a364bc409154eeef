"""Labelled sets: where images with classes come from."""
