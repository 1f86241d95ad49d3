"""The numbers of a release: the schema of report.json, which the report, the card and Croissant are written from.

A release of an earlier version may lack some; such fields have defaults, and pages leave out their sections.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import msgspec

from pipeline.report.audit_numbers import AuditNumbers
from pipeline.report.signal_numbers import BoundNumbers, DomainPerplexity, Histogram, RuleNumbers, RuleSample

Groups = TypeVar("Groups")


class Tally(NamedTuple):
    """Counts of a language, source, snapshot ("" is none), domain or provenance.

    copies: documents that pass every rule and were removed in favour of another. bytes: UTF-8 text before edits.
    """

    documents: int = 0
    kept: int = 0
    copies: int = 0
    bytes: int = 0
    kept_bytes: int = 0
    kept_tokens: int = 0


class Split(NamedTuple):
    """Counts of a bucket, tier or bin of a histogram."""

    kept: int = 0
    dropped: int = 0
    kept_bytes: int = 0
    dropped_bytes: int = 0

    @property
    def documents(self) -> int:
        """Kept and dropped ones."""
        return self.kept + self.dropped


class ClusterTally(NamedTuple):
    """Counts of clusters of one size, rounded up to a power of two."""

    clusters: int = 0
    documents: int = 0
    copies: int = 0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """read = ingested + quarantined + erased; ingested = kept + dropped."""

    read: int
    quarantined: int
    erased: int
    ingested: int
    kept: int
    dropped: int
    derived: int = 0
    kept_tokens: int = 0
    lost_passages: int = 0


class MixGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of a mix: what was asked and what it contains, in its unit; see pipeline.mix.order.realised. Fields in
    tokens are given for every unit, except asked_tokens."""

    group: str
    n_docs: int
    available_tokens: int
    asked_tokens: int | None
    tokens: int
    asked_share: float
    share: float
    epochs: float
    available: int | msgspec.UnsetType = msgspec.UNSET
    asked: int | msgspec.UnsetType = msgspec.UNSET
    taken: int | msgspec.UnsetType = msgspec.UNSET
    discarded: int | msgspec.UnsetType = msgspec.UNSET
    exhausted: bool | msgspec.UnsetType = msgspec.UNSET


class MixLanguage(msgspec.Struct, frozen=True, kw_only=True):
    """A language of a mix: available and taken units, the share of both, and epochs."""

    language: str
    available: int
    taken: int
    available_share: float
    share: float
    epochs: float


class MixSlice(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the training order that ends at a fraction: requested and realised shares, by group."""

    until: float
    asked: list[float]
    share: list[float]


class MixTraining(msgspec.Struct, frozen=True, kw_only=True):
    """Shares along the training order. window_error: the largest difference of a share in any window, see
    pipeline.release.mix_numbers; windows: how many there are."""

    slices: list[MixSlice]
    window_error: float
    windows: int


class MixPhaseRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the training order in a phase: the first one, their number, and their units."""

    phase: int
    first: int
    documents: int
    units: int


class MixBucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket of a quality curve; copies: mean number of copies; power: of the curve of the group."""

    group: str
    bucket: str
    available: int
    asked: int
    taken: int
    copies: float
    power: float | None


class MixedRow(msgspec.Struct, frozen=True, kw_only=True):
    """Documents of a language in a mix with a larger share than `above` in other languages, and their shares."""

    language: str
    above: float
    documents: int
    tokens: int
    documents_share: float
    tokens_share: float


class RepeatClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Documents of a mix that are repeated equally often; least: from which value of the column on, None below all."""

    least: int | float | None = msgspec.field(name="from")
    times: int
    documents: int
    copies: int
    available_tokens: int
    tokens: int
    judged: int | msgspec.UnsetType = msgspec.UNSET
    removed: int | msgspec.UnsetType = msgspec.UNSET
    removed_share: float | msgspec.UnsetType = msgspec.UNSET


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """How a mix repeats documents; fit: the method that the weights were fitted with, None for given ones."""

    column: str
    fit: str | None
    classes: list[RepeatClass]
    removed_share: float | msgspec.UnsetType = msgspec.UNSET


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """A mix in training order. available, discarded_share: in its unit."""

    groups: list[MixGroup]
    tokens: int
    available: int
    discarded_share: float
    documents: int
    repeat: Repeat | msgspec.UnsetType = msgspec.UNSET
    unit: str = "tokens"
    preset: str | None = None
    languages: list[MixLanguage] = []
    training: MixTraining | msgspec.UnsetType = msgspec.UNSET
    phases: list[MixPhaseRows] = []
    curve: list[MixBucket] = []
    mixed: list[MixedRow] = []


Tallies = dict[str, Tally]
Splits = dict[str, dict[str, Split]]
"""By language, then by bucket, tier or bin."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Exact counts over all documents; None where a column has too many values, unset where the run lacks it."""

    languages: Tallies = msgspec.field(default_factory=dict)
    sources: Tallies = msgspec.field(default_factory=dict)
    snapshots: Tallies | None = msgspec.field(default_factory=dict)
    provenances: dict[str, Tallies] | None = msgspec.field(default_factory=dict)
    licenses: Tallies | None = msgspec.field(default_factory=dict)
    domains: Tallies | msgspec.UnsetType | None = msgspec.UNSET
    buckets: Splits | msgspec.UnsetType | None = msgspec.UNSET
    tiers: Splits | msgspec.UnsetType | None = msgspec.UNSET
    perplexity: Splits | msgspec.UnsetType = msgspec.UNSET
    scores: dict[str, Splits] | msgspec.UnsetType = msgspec.UNSET
    clusters: dict[str, ClusterTally] | msgspec.UnsetType = msgspec.UNSET


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rule cuts a column that has a histogram; languages: those it applies to, None for all."""

    rule: str
    action: str
    side: str  # "min" | "max"
    value: float
    languages: list[str] | None


class SourceNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """A source: what was read and what was kept.

    derived_by: the module that made its documents. good: whether the run file declares its documents good.
    """

    source: str
    rank: int
    derived_by: str | None
    reader: str | None
    files: int
    input_bytes: int
    read: int
    quarantined: int
    documents: int
    kept: int
    copies: int
    bytes: int
    kept_bytes: int
    kept_tokens: int
    provenances: dict[str, int]
    good: bool = False


class LicenseNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Kept documents of a licence, "" for none."""

    license: str
    documents: int
    tokens: int
    sources: list[str]


class RightsNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Kept documents of a licence, and what it obliges to. spdx: "" for one that is not recognised or not stated.
    sources: source -> documents and tokens."""

    class_: str
    spdx: str
    attribution: bool
    share_alike: bool
    non_commercial: bool
    no_derivatives: bool
    documents: int
    tokens: int
    sources: dict[str, tuple[int, int]]


class PartGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Derived documents of a language, domain or class, and how diverse they are in a column.

    by: `all`, `language`, `domain` or a counted column. values: distinct ones. effective: how many equally frequent
    values would be as diverse. largest: the most frequent value.
    """

    by: str
    group: str
    documents: int
    tokens: int
    values: int
    effective: float
    largest: str
    largest_share: float


class PartValue(msgspec.Struct, frozen=True, kw_only=True):
    """A frequent value of the column, with its documents by language."""

    value: str
    documents: int
    languages: dict[str, int]


class PartNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Diversity of one part of derived documents; column: the one whose values are counted."""

    part: str
    column: str
    groups: list[PartGroup]
    common: list[PartValue]


class ScriptNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Chinese of one label: released text, and its share of all Chinese."""

    language: str
    released_as: str
    documents: int
    characters: int
    tokens: int
    documents_share: float
    characters_share: float
    tokens_share: float


class StepNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the run; kind: `row` for a stage, `global` for a global step."""

    name: str
    module: str
    version: int
    recipe: str
    kind: str


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """The conversion of whole texts at release, with the labels that change."""

    module: str
    labels: dict[str, str]


class EditNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """What was cut out of the text or replaced: span columns with kinds (None for all), rules that trim."""

    spans: dict[str, list[str] | None] = msgspec.field(default_factory=dict)
    trims: list[str] = msgspec.field(default_factory=list)
    convert: Conversion | msgspec.UnsetType = msgspec.UNSET


class ReleaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How parts were cut and ordered."""

    part_bytes: int
    seed: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A place where two texts differ."""

    removed: str
    kept: str


class SamplePair(msgspec.Struct, frozen=True, kw_only=True):
    """A compared pair near the threshold; places: how many differ, the first of them in differences."""

    language: str
    verified: bool
    doc_a: str
    doc_b: str
    similarity: float
    places: int
    differences: list[Difference]


class NearDuplicates(msgspec.Struct, frozen=True, kw_only=True):
    """Compared pairs by similarity (lower edge of a bin of 0.01, verified, pairs), and some near the threshold."""

    threshold: float | None
    histogram: list[tuple[float, bool, int]]
    samples: list[SamplePair]


class BucketEdge(NamedTuple):
    """A bucket of a scorer (its column, or `ensemble`); lower: its least value; size: of the population then;
    effective: documents of equal size that all of it is worth."""

    language: str
    scorer: str
    bucket: int
    lower: float | None
    size: int
    effective: int


class BucketSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A language in the buckets, `*` for all; unit: the column that sizes are sums of."""

    language: str
    cut_by: str
    unit: str
    documents: int
    population: int
    size: int
    top_size: int
    top_share: float | None


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Documents in the top bucket of two scorers, and their share of the first one's."""

    language: str
    scorer: str
    other: str
    documents: int
    size: int
    share: float | None


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How the shares of a scorer's buckets differ from those that given edges were made for."""

    language: str
    scorer: str
    cut_by: str
    documents: int
    psi: float
    chance: float
    moved: float
    worst_bucket: int
    expected: float
    actual: float


class BucketSample(msgspec.Struct, frozen=True, kw_only=True):
    """A document in a bucket of a scorer."""

    language: str
    scorer: str
    bucket: int
    doc_id: str
    keep: bool
    text: str


class BucketNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Quality buckets by scorer; drift: None for edges that were fitted in this run."""

    step: str
    edges: list[BucketEdge]
    summary: list[BucketSummary]
    overlap: list[Overlap]
    drift: list[Drift] | None
    samples: list[BucketSample]


class ExpectationNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """An expectation of the run file. value: the figure, of all groups the one closest to a bound or beyond it; None if
    there is no group. group, outside: the worst group outside the bounds, and how many groups are."""

    name: str
    figure: str
    level: str
    min: float | None
    max: float | None
    value: float | None
    group: str | None = None
    outside: int = 0


class ReleaseNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """All numbers of a release.

    funnel: language -> outcome (`kept`, or the rule that dropped) -> documents. failed: documents that fail each rule,
    whichever rule dropped them. rules: drop rules in the order in which they decide; late_rules: those after keepers.
    duplicates: `source` or `language` -> name -> kind of copy -> documents. lengths: language -> kept documents per
    power of two of tokens. thresholds: release column -> cuts. signals: column -> language, `*` for those that no rule
    names -> documents by value. spans: column -> kind -> documents, kept documents, spans. integers: columns of
    whole numbers. rights_parts: group of obligations -> files of data/ that contain it alone.
    """

    name: str
    corpus: str
    version: str
    recipe: str
    counts: Counts
    funnel: dict[str, dict[str, int]]
    failed: dict[str, int]
    rules: list[str]
    mixes: dict[str, Mix]
    default_mix: str
    quarantined: dict[str, dict[str, int]]
    lengths: dict[str, list[int]] = msgspec.field(default_factory=dict)
    late_rules: list[str] = msgspec.field(default_factory=list)
    snapshots: dict[str, dict[str, int]] | None = None
    duplicates: dict[str, dict[str, dict[str, int]]] = msgspec.field(default_factory=dict)
    warnings: list[str] = msgspec.field(default_factory=list)
    profile: Profile = Profile()
    thresholds: dict[str, list[Cut]] = msgspec.field(default_factory=dict)
    sources: list[SourceNumbers] = msgspec.field(default_factory=list)
    licenses: list[LicenseNumbers] = msgspec.field(default_factory=list)
    rights: list[RightsNumbers] = msgspec.field(default_factory=list)
    rights_parts: dict[str, list[str]] = msgspec.field(default_factory=dict)
    scripts: list[ScriptNumbers] = msgspec.field(default_factory=list)
    parts: list[PartNumbers] = msgspec.field(default_factory=list)
    steps: list[StepNumbers] = msgspec.field(default_factory=list)
    edits: EditNumbers = EditNumbers()
    release: ReleaseSettings | None = None
    near_duplicates: NearDuplicates | None = None
    buckets: BucketNumbers | None = None
    signals: dict[str, dict[str, Histogram]] = msgspec.field(default_factory=dict)
    spans: dict[str, dict[str, tuple[int, int, int]]] = msgspec.field(default_factory=dict)
    domain_perplexity: list[DomainPerplexity] = msgspec.field(default_factory=list)
    rule_counts: list[RuleNumbers] = msgspec.field(default_factory=list)
    bounds: list[BoundNumbers] = msgspec.field(default_factory=list)
    rule_samples: list[RuleSample] = msgspec.field(default_factory=list)
    integers: list[str] = msgspec.field(default_factory=list)
    audit: AuditNumbers | None = None
    expectations: list[ExpectationNumbers] = msgspec.field(default_factory=list)


def present(groups: dict[str, Groups] | msgspec.UnsetType | None) -> dict[str, Groups]:
    """The groups of a profile; empty where the run has none, or too many to count."""
    return groups if isinstance(groups, dict) else {}


def check_numbers(plain: dict[str, Any]) -> ReleaseNumbers:  # Any: JSON
    """The numbers from plain data.

    Raises: msgspec.ValidationError naming the field that is missing or of another type.
    """
    return msgspec.convert(plain, ReleaseNumbers)


def read_numbers(data: bytes) -> ReleaseNumbers:
    """The numbers from a release's report.json; fields that an earlier version lacks have their defaults.

    Raises: msgspec.ValidationError if a field has another type.
    """
    return msgspec.json.decode(data, type=ReleaseNumbers)


def plain_numbers(numbers: ReleaseNumbers) -> Any:  # Any: JSON
    """The numbers as plain data for report.json."""
    return msgspec.to_builtins(numbers)
