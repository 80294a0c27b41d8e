"""The parts of `paddle_wrn.split_data`: what is in a folder or archive of photos, and who goes where."""
