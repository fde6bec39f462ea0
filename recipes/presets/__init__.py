"""Presets: made from runs, told of by cards, shown in a gallery."""
