"""Training from labelled tables: fastText models and heads, with their evaluation on sources left out."""
