"""Classifiers with calibrated probabilities: who leaves, who refers and what that brings."""
