"""Filings that authorities ask for, from one finished release."""
