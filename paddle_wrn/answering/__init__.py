"""A trained network answers: how probable, whether it is sure, and what in the photo speaks for it."""
