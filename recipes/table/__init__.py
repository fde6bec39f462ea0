"""Tables of one's own: forecasts of many series, with their uncertainty."""
