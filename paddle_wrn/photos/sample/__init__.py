"""The sample birds: a small data set that is drawn on the spot."""
