"""The version of all that is installed under the name tsudoi."""

__version__ = "0.1.0"
