"""Tests of the pose recipe."""
