"""A trained network for other programs, and weights that other programs have trained."""
