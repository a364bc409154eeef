"""Parts of the trainer's benchmarks: what feeds it, and the loop it is compared with."""
