"""Linear models over hashed features: training, calibrated log-odds, and feature families."""
