"""Tests of the frameworks' own rooms."""
