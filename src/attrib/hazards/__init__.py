"""Models of when touches and outcomes come, and what would have come without some of the touches."""
