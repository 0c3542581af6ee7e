"""Files that the tests of media read."""
