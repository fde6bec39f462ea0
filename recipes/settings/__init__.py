"""Settings: declared once, read from the command line."""
