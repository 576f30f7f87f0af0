"""Results for people: frames in, something to look at out."""
