"""Repeated passages: anchors, equal ranges, the owner of each passage, and repeated paragraphs and lines."""
