"""Stages for web pages: boilerplate, line rules, licence claims, URLs and caps per host."""
