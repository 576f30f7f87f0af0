"""Personas: customers whose journeys are alike."""
