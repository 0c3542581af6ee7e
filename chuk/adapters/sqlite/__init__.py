"""The books in one SQLite file of the data folder."""
