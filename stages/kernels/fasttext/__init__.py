"""fastText models: their files, features and predictions."""
