"""How good and how fast: metrics and benchmarks of a bundle. Importing it imports nothing else."""
