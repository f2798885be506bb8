"""Meta-learning: what is learned over many small tasks so that a new class needs few examples."""
