"""Places past float64: the search for reference runs, and the descent to a target."""
