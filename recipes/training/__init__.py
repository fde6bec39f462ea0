"""Models, their training and evaluation, and searches."""
