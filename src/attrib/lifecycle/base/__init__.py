"""What the models share: frames become numbers, labels are checked, probabilities calibrated."""
