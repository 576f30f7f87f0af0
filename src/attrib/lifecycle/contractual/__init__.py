"""Customers whose leaving has a date: survival models."""
