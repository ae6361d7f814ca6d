"""What a model's outputs mean: figures, and their intervals over samples."""
