"""Checks of statements: arithmetic, numbers, units, dates, formulas and names, and whether a source contains them.

Pure functions over strings, without models, shared by the finder of worked solutions and by everything that a language
model writes. Each check reports what is certainly wrong and is silent where a text can be read in another way.
"""
