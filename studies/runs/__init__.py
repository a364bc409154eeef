"""Carries out the runs of a plan, each once, and keeps what they measured."""
