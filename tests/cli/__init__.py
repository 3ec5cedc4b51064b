"""Tests of the command line. A package, so that the installation they share ends with them."""
