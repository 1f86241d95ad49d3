"""Domains of the labelled web text, and the domains of classifiers.domain that each overlaps with.

The labels of web text (the rubric is in docs/quality.md) have 26 domains of their own. The first domain of each row is
the usual one; a prediction is right if it is any of the row. The taxonomies overlap: `technology` is computers as well
as telecom, `business` contains property and jobs, `news_politics` reports, politics, wars and crimes. `none` has no
counterpart and is left out of training and figures.
"""

from __future__ import annotations

ACCEPTED = {
    "adult_gambling": ("Adult", "Games"),
    "agriculture": ("Business & Industrial", "Home & Garden", "Pets & Animals"),
    "arts": ("Arts & Entertainment", "Hobbies & Leisure"),
    "automotive": ("Autos & Vehicles",),
    "business": ("Business & Industrial", "Real Estate", "Jobs & Education"),
    "education": ("Jobs & Education",),
    "entertainment": ("Arts & Entertainment",),
    "finance": ("Finance",),
    "food": ("Food & Drink",),
    "games": ("Games",),
    "government": ("Law & Government",),
    "health": ("Health", "Beauty & Fitness"),
    "history": ("People & Society", "Law & Government", "Sensitive Subjects"),
    "home": ("Home & Garden", "Real Estate"),
    "law": ("Law & Government",),
    "literature": ("Books & Literature",),
    "military": ("Law & Government", "Sensitive Subjects"),
    "nature_science": ("Science", "Pets & Animals"),
    "news_politics": ("News", "Law & Government", "Sensitive Subjects"),
    "religion": ("People & Society",),
    "shopping": ("Shopping", "Beauty & Fitness"),
    "society": ("People & Society", "Online Communities", "Sensitive Subjects"),
    "sports": ("Sports",),
    "technology": ("Computers & Electronics", "Internet & Telecom"),
    "travel": ("Travel & Transportation",),
}

BY_KIND = {
    ("adult_gambling", "adult"): "Adult",
    ("adult_gambling", "gambling"): "Games",
    ("business", "job"): "Jobs & Education",
}
"""(Domain, kind) of a label -> the one domain to train on, where the kind settles it."""

USUAL_SHARE = 0.9
"""Share of the first domain in the target of a label that has several; the others divide the rest."""

SAME_TEXTS = {
    "newsgroups": "bahbbc/dataMining20NewsGroup",
    "reuters": "sola91/reuters-21578",
    "mails": "apache/spamassassin",
}
"""Source of unlabelled text -> labelled source with texts of the same publication; neither is trained on where the
other is measured."""
