"""Pages for people: the report, the dataset card, and the tables and figures in them."""
