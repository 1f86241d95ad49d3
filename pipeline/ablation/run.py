"""Run an ablation in a folder: tokens, one proxy per size, corpus and seed, comparisons, pages.

Every finished piece is a file, so that the same command goes on where it was stopped. A folder belongs to one ablation:
with other settings it is refused, since old and new runs would be compared.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tokenizers import Tokenizer

from pipeline.ablation.compare import Difference, Measured, Values, compare, rank_agreement
from pipeline.ablation.config import SMOKE_BYTES, SMOKE_PARAMETERS, Ablation
from pipeline.ablation.corpora import (
    BYTES_PER_TOKEN,
    Drawn,
    draw,
    end_of,
    ids_of,
    lines_of,
    read_measured,
    texts_of,
    train_tokenizer,
    write_json,
    write_tokens,
)
from pipeline.errors import ConfigError, InputError, UsageError
from pipeline.names import check_keys, nearest
from pipeline.recipe import digest
from pipeline.runtime.progress import Progress

PROXY = "classifiers.proxy"
TRIAL_STEPS = 12
"""Steps that an estimate of the time takes; the first third is not counted."""

DRAW_SEED = 20
DRAW_VERSION = 3

SHARE_ERROR = 0.03
"""Largest difference from `chinese_share` that whole documents may cause."""


def proxy(module: str) -> Any:  # Any: a module that is loaded by name
    """A module of the proxies."""
    return importlib.import_module(f"{PROXY}.{module}")


@dataclass(frozen=True)
class Prepared:
    """Tokens of all corpora, and what is measured, as ids. corpora: facts of each, of tokens.json."""

    tokenizer: Tokenizer
    end: int
    corpora: dict[str, dict[str, Any]]  # Any: JSON
    texts: dict[str, tuple[list[list[int]], list[int]]]
    tasks: dict[str, list[Any]]  # Any: classifiers.proxy.train.Choice


@dataclass
class Results:
    """What an ablation found. runs: (size, corpus, seed) -> its file; missing: runs that are not finished."""

    ablation: Ablation
    corpora: dict[str, dict[str, Any]]  # Any: JSON
    runs: dict[tuple[str, str, int], dict[str, Any]]  # Any: JSON
    differences: list[Difference] = field(default_factory=list)
    agreement: dict[str, dict[str, float]] = field(default_factory=dict)
    smoke: list[str] = field(default_factory=list)

    @property
    def measures(self) -> list[str]:
        """Names of what was measured, in order."""
        return list(dict.fromkeys(name for run in self.runs.values() for name in run["measures"]))

    def values(self) -> Values:
        """What each seed measured, by size, corpus and measure."""
        found = {}
        for size in self.ablation.sizes:
            for corpus in self.ablation.corpora:
                for measure in self.measures:
                    seeds = [
                        self.runs[size, corpus, seed]["measures"][measure] for seed in self.ablation.seeds
                    ]
                    parts = np.array([seed["parts"] for seed in seeds], float)
                    found[size, corpus, measure] = Measured(parts, np.array(seeds[0]["weights"], float))
        return found


class Harness:
    """An ablation and its folder."""

    def __init__(self, ablation: Ablation, folder: str, progress: Progress) -> None:
        self.ablation, self.folder, self.progress = ablation, Path(folder), progress
        self.sizes = {
            name: self._made("model", "Size", shape, f"sizes.{name}")
            for name, shape in ablation.sizes.items()
        }
        self.settings = self._made("train", "Settings", ablation.train, "train")
        skills = proxy("skills").SKILLS
        for skill in (*ablation.skills, *(s for c in ablation.corpora.values() for s in c.plant)):
            if skill not in skills:
                raise ConfigError(f"skill {skill!r}{nearest(skill, skills)}")

    @staticmethod
    def _made(
        module: str, kind: str, values: Mapping[str, Any], where: str
    ) -> Any:  # Any: a dataclass by name
        made = getattr(proxy(module), kind)
        check_keys(values, made.__dataclass_fields__, where)
        try:
            return made(**values)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error

    @property
    def n_unique(self) -> int:
        """Tokens of each corpus that are different documents."""
        longest = max(size.context for size in self.sizes.values())
        return self.settings.tokens // self.ablation.epochs + longest + 1

    def prepare(self) -> Prepared:
        """Draw, tokenise and write what is not written yet.

        Raises: UsageError if the folder is of another ablation; InputError if a corpus has too few tokens.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._claim()
        measured = {name: read_measured(texts, name) for name, texts in self.ablation.evaluate.items()}
        facts_path = self.folder / "tokens.json"
        if not facts_path.exists():
            self._write_corpora(measured, facts_path)
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        texts = {
            f"{name} bits per byte": (ids_of(tokenizer, found), [len(text.encode()) for text in found])
            for name, found in measured.items()
        }
        tasks = {f"{skill} right": self._choices(tokenizer, skill) for skill in self.ablation.skills}
        return Prepared(
            tokenizer, end_of(tokenizer), msgspec.json.decode(facts_path.read_bytes()), texts, tasks
        )

    def _claim(self) -> None:
        own = digest({"ablation": msgspec.to_builtins(self.ablation), "draw": DRAW_VERSION})
        path = self.folder / "ablation.json"
        if path.exists() and msgspec.json.decode(path.read_bytes())["digest"] != own:
            raise UsageError(
                f"{self.folder} is of an ablation with other settings; name another folder with --to"
            )
        write_json(path, {"digest": own, "ablation": msgspec.to_builtins(self.ablation)})

    def _write_corpora(self, measured: dict[str, list[str]], facts_path: Path) -> None:
        lines = frozenset(line for texts in measured.values() for text in texts for line in lines_of(text))
        names, facts = list(self.ablation.corpora), {}
        with self.progress.phase(
            "corpora", len(names) * (1 if self.ablation.tokenizer else 2), "steps"
        ) as phase:
            tokenizer = self._make_tokenizer(lines, phase)
            for name in names:
                facts[name] = self._write_corpus(name, tokenizer, lines)
                phase.step()
        write_json(facts_path, facts)

    def _make_tokenizer(self, lines: frozenset[int], phase: Any) -> Tokenizer:  # Any: a phase
        """The tokenizer that is named, or one trained on the documents of the first seed; written to the folder."""
        if self.ablation.tokenizer:
            tokenizer = Tokenizer.from_file(self.ablation.tokenizer)
        else:
            texts = []
            for name in self.ablation.corpora:
                texts.append(self._draw(name, lines, self.ablation.seeds[:1])[0].texts)
                phase.step()
            tokenizer = train_tokenizer(texts, self.ablation.vocabulary)
        tokenizer.save(str(self.folder / "tokenizer.json"))
        return tokenizer

    def _draw(self, name: str, lines: frozenset[int], seeds: Sequence[int]) -> list[Drawn]:
        """Documents of a corpus for each seed. lines: hashes of the long lines of measured texts."""
        read = functools.partial(texts_of, self.ablation.corpora[name])
        draw_seeds = [DRAW_SEED + seed for seed in seeds]
        return draw(read, self.n_unique * BYTES_PER_TOKEN, lines, draw_seeds, self.ablation.chinese_share)

    def _write_corpus(
        self, name: str, tokenizer: Tokenizer, lines: frozenset[int]
    ) -> dict[str, Any]:  # Any: JSON
        """Write the tokens of a corpus for each seed; returns its facts, those of the draw of the first seed."""
        plant, written = self.ablation.corpora[name].plant, list[dict[str, Any]]()  # Any: JSON
        share = self.ablation.chinese_share
        where = f"corpora.{name}" if share is None else f"corpora.{name} at {share:.0%} Chinese"
        draws = self._draw(name, lines, self.ablation.seeds)
        for seed, found in zip(self.ablation.seeds, draws, strict=True):
            written.append(
                write_tokens(
                    self._tokens(name, seed), tokenizer, found.texts, self._planted(plant), sum(plant.values()),
                    self.n_unique, where,
                )
            )  # fmt: skip
            if share is not None and abs(written[-1]["chinese_share"] - share) > SHARE_ERROR:
                raise InputError(
                    f"{where}: only {written[-1]['chinese_share']:.0%} of the bytes could be; it has too few documents "
                    "of one kind: lower train.tokens or change chinese_share"
                )
        first = draws[0]
        return {
            **written[0], "corpus_documents": first.n_documents, "corpus_bytes": first.n_bytes,
            "left_out_as_measured": first.n_seen,
        }  # fmt: skip

    def _planted(self, plant: Mapping[str, float]) -> list[str]:
        """Documents of skills, in the ratio of their shares, more than needed; none of them is measured on."""
        if not plant:
            return []
        shares = np.array(list(plant.values()))
        n = int(shares.sum() * self.n_unique / 8) + 16
        own = [[task.text for task in proxy("skills").make_tasks(skill, n, DRAW_SEED)] for skill in plant]
        chosen = np.random.default_rng(DRAW_SEED).choice(len(own), n, p=shares / shares.sum())
        return [own[k][i] for i, k in enumerate(chosen.tolist())]

    def _choices(self, tokenizer: Tokenizer, skill: str) -> list[Any]:  # Any: classifiers.proxy.train.Choice
        choice = proxy("train").Choice
        return [
            choice(
                tokenizer.encode(task.prompt, add_special_tokens=False).ids,
                [tokenizer.encode(answer, add_special_tokens=False).ids for answer in task.choices],
            )
            for task in proxy("skills").make_tasks(skill, self.ablation.n_tasks, DRAW_SEED + 1)
        ]

    def trainer(self, prepared: Prepared, size: str, corpus: str, seed: int) -> Any:  # Any: a Trainer
        """The trainer of a run."""
        tokens = np.load(self._tokens(corpus, seed), mmap_mode="r")
        return proxy("train").Trainer(
            tokens, prepared.tokenizer.get_vocab_size(), self.sizes[size], self.settings, seed, prepared.end
        )

    def estimate(self, prepared: Prepared) -> dict[str, Any]:  # Any: JSON
        """Seconds of all runs that are not finished, from a few steps of each size on this machine."""
        base, seconds, speeds = self.ablation.base, 0.0, {}
        for size in self.sizes:
            trainer = self.trainer(prepared, size, base, self.ablation.seeds[0])
            trainer.train(stop=TRIAL_STEPS // 3)
            speeds[size] = trainer.train(stop=TRIAL_STEPS)
            began = time.perf_counter()
            n_measured = sum(len(ids) for documents, _ in prepared.texts.values() for ids in documents[:20])
            n_all = sum(len(ids) for documents, _ in prepared.texts.values() for ids in documents)
            trainer.outcome({name: (d[:20], b[:20]) for name, (d, b) in prepared.texts.items()}, {}, 0.0)
            scoring = (time.perf_counter() - began) * n_all / max(n_measured, 1)
            seconds += self._n_open(size) * (self.settings.tokens / speeds[size] + scoring)
        return {"runs": sum(map(self._n_open, self.sizes)), "seconds": round(seconds), "tokens_per_s": speeds}

    def _n_open(self, size: str) -> int:
        return sum(s == size and not self._file(s, c, seed).exists() for s, c, seed in self.ablation.runs)

    def _tokens(self, corpus: str, seed: int) -> Path:
        return self.folder / f"{corpus}-{seed}.npy"

    def _file(self, size: str, corpus: str, seed: int) -> Path:
        return self.folder / "runs" / f"{size}-{corpus}-{seed}.json"

    def run(self) -> Results:
        """Train and measure all proxies that are not finished, and compare."""
        prepared = self.prepare()
        (self.folder / "runs").mkdir(exist_ok=True)
        open_runs = [run for run in self.ablation.runs if not self._file(*run).exists()]
        n_steps = {size: self.settings.n_steps(shape.context) for size, shape in self.sizes.items()}
        with self.progress.phase("train", sum(n_steps[size] for size, _, _ in open_runs), "steps") as phase:
            for size, corpus, seed in open_runs:
                self._one(prepared, size, corpus, seed, phase)
        return self.results(prepared)

    def _one(self, prepared: Prepared, size: str, corpus: str, seed: int, phase: Any) -> None:  # Any: a phase
        path = self._file(size, corpus, seed)
        checkpoint = path.with_suffix(".pt")
        trainer = self.trainer(prepared, size, corpus, seed)
        if checkpoint.exists():
            trainer.load(str(checkpoint))
            for _ in range(trainer.step):
                phase.step()
        speed = trainer.train(str(checkpoint), lambda n: phase.step())
        found = trainer.outcome(prepared.texts, prepared.tasks, speed)
        measures = {
            name: {
                "value": round(one.value, 6),
                "parts": np.round(one.parts, 3).tolist(),
                "weights": one.weights.tolist(),
            }
            for name, one in found.scored.items()
        }
        write_json(path, {
            "measures": measures, "curve": found.curve, "tokens_per_s": round(speed, 1), "device": found.device,
            "parameters": found.n_parameters,
        })  # fmt: skip
        checkpoint.unlink(missing_ok=True)

    def results(self, prepared: Prepared) -> Results:
        """Compare the finished runs."""
        runs = {run: msgspec.json.decode(self._file(*run).read_bytes()) for run in self.ablation.runs}
        results = Results(self.ablation, prepared.corpora, runs)
        values = results.values()
        results.differences = compare(values, self.ablation.base, self.ablation.confidence)
        if len(self.sizes) > 1:
            results.agreement = {measure: rank_agreement(values, measure) for measure in results.measures}
        largest = max(run["parameters"] for run in runs.values())
        least = min(facts["corpus_bytes"] for facts in prepared.corpora.values())
        if largest < SMOKE_PARAMETERS:
            results.smoke.append(
                f"its largest proxy has {largest:,} parameters, fewer than {SMOKE_PARAMETERS:,}"
            )
        if least < SMOKE_BYTES:
            results.smoke.append(f"its smallest corpus has {least:,} bytes, fewer than {SMOKE_BYTES:,}")
        return results


def plain(results: Results) -> dict[str, Any]:  # Any: JSON
    """Results as plain data, for results.json."""
    return {
        "smoke_test": results.smoke,
        "baseline": results.ablation.base,
        "corpora": results.corpora,
        "differences": [difference.plain() for difference in results.differences],
        "rank_agreement": results.agreement,
        "runs": [
            {
                "size": size,
                "corpus": corpus,
                "seed": seed,
                "tokens_per_s": run["tokens_per_s"],
                "measures": {name: one["value"] for name, one in run["measures"].items()},
            }
            for (size, corpus, seed), run in results.runs.items()
        ],
    }
