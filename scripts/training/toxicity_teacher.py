"""Write the word weights of the linear model in alt-profanity-check as a table, for `train_toxicity.py`.

The model was trained on some 200,000 comments and posts with human labels. Run this in a separate environment with only
that package: importing it unpickles the files that it contains.

Example: python -m scripts.training.toxicity_teacher > teacher.tsv
"""

from __future__ import annotations

import argparse
import sys


def main() -> None:
    """Print one line per word: word, inverse document frequency, weight; the first line contains the intercept."""
    argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]).parse_args()
    from profanity_check import profanity_check  # type: ignore[import-not-found]  # not in our environment

    vectorizer, model = profanity_check.vectorizer, profanity_check.model
    fitted = [part.estimator for part in model.calibrated_classifiers_]
    weights = sum(part.coef_[0] for part in fitted) / len(fitted)
    intercept = sum(float(part.intercept_[0]) for part in fitted) / len(fitted)
    rows = [("", 0.0, intercept)]
    rows += [(word, vectorizer.idf_[i], weights[i]) for word, i in sorted(vectorizer.vocabulary_.items())]
    sys.stdout.writelines(f"{word}\t{idf:.4f}\t{weight:.4f}\n" for word, idf, weight in rows)


if __name__ == "__main__":
    main()
