"""Polyphonic music as piano rolls of 88 notes."""
