"""What the outputs of a model mean: figures of a run."""
