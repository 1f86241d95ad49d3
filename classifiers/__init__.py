"""Stages that need a trained model or a server: language, quality, domain, toxicity, fluency."""
