"""Recipes, and the run from raw light curves to a deployed classifier."""
