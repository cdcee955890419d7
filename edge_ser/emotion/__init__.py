"""What a model's numbers mean: scale, sphere, regions, and the answer made of them."""
