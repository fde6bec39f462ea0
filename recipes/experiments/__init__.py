"""Measurements and pictures: programs of their own."""
