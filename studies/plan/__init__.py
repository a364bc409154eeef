"""What a study will do, before it begins: every run with its view, seed and images."""
