"""Video: bouncing digits and people who move."""
