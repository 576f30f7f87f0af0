"""Views: journeys as frames for people to look at, one file a topic."""
