"""The command line: ``astroprep <verb>``."""
