"""What should happen next for a customer, and what a rule of action is worth."""
