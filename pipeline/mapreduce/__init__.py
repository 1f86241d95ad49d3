"""Global steps: map, shuffle, reduce, and the index of earlier documents."""
