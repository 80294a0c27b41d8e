"""A folder of photos, or an archive of one, becomes lists to train, validate and test with."""
