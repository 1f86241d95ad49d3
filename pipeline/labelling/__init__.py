"""Labels by people: documents drawn from a store, a sheet to read them in, and their answers."""
