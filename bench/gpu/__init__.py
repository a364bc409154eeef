"""The loader on a GPU, against what the GPU can decode, against others' loaders, and against a trainer's appetite."""
