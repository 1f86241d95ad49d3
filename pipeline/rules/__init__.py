"""Rules: conditions over annotation columns, and the presets that expand to them."""
