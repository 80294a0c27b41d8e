"""From a folder or archive to lists, from a list to squares, from squares to the tensor a network sees."""
