"""Customers who fall silent: how often they buy, who is still alive, what they are worth."""
