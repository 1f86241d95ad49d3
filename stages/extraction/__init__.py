"""Main text of HTML pages, with formulas, tables and the licence claims of a page."""
