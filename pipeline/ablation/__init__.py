"""Which of several corpora teaches a small model more: ablations, swarms of mixtures, fits."""
