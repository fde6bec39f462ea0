"""What tests compare with: the original's files and plain NumPy loops."""
