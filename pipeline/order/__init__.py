"""Defines the order of samples on every rank: pure arithmetic, without torch."""
