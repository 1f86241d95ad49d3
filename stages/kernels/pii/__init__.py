"""Where texts may have personal data: characters, signs, words, shapes and numbers, and the scan for candidates."""
