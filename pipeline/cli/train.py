"""Commands that train models from labelled files: fastText and KenLM models, heads over columns, mining.

Training is in `classifiers`, which is loaded by name; this module reads the files and prints what was written.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import click

from pipeline.cli.group import Group, say
from pipeline.cli.options import dry_run_option, json_option, split_names

TRAINING = "classifiers.training"

files_argument = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False)
)


def _in_a_folder(context: click.Context, option: click.Parameter, path: str) -> str:
    """Refuse an output in a folder that does not exist, before hours of training."""
    del context, option
    if not Path(path).resolve().parent.is_dir():
        raise click.BadParameter(f"{path}: no such folder; create it first")
    return path


def out_option(ending: str) -> Any:  # Any: what click's decorators are
    """The option for the model to write."""
    return click.option(
        "--out", required=True, type=click.Path(dir_okay=False), callback=_in_a_folder,
        help=f"The model to write, {ending}.",
    )  # fmt: skip


seed_option = click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything drawn.")
settings_option = click.option("--settings", help="Settings of the library, such as dim=16,epoch=5.")
FORMS = ("plain", "dclm", "characters", "jieba")
form_option = click.option(
    "--text", "form", default="characters", show_default=True, type=click.Choice(FORMS),
    help="Form of the text; name it in the run file too.",
)  # fmt: skip


def label_options(command: Any) -> Any:  # Any: a function before and after click's decorators
    """Add the options that say what is learnt and what is left out."""
    options = (
        click.option(
            "--label", default="label", show_default=True, help="Column of labels: two values, or grades."
        ),
        click.option(
            "--good", help="The upper class: a column of booleans, or >=NUMBER.  [default: upper half]"
        ),
        click.option(
            "--fold", help="Column of folds, or `source` for one per source.  [default: --folds by size]"
        ),
        click.option(
            "--folds",
            "n_folds",
            type=click.IntRange(2),
            default=5,
            show_default=True,
            help="Folds by source.",
        ),
        settings_option,
        seed_option,
        dry_run_option,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Group)
def train() -> None:
    """Train a model from labelled Parquet or JSON Lines files, evaluated on sources left out.

    The files have the columns text, lang, source and a label. Needs the extra `train`.

    Example: bicorpus train head labels.parquet --label score --good keep --out value.npz
    """


@train.command()
@files_argument
@out_option(".bin")
@form_option
@click.option(
    "--pool",
    "pool_path",
    type=click.Path(exists=True, dir_okay=False),
    help="Unlabelled documents with a score.",
)
@click.option(
    "--pool-score", help="Column of the pool; negatives are drawn between its median and third quartile."
)
@click.option(
    "--negatives", type=click.IntRange(1), default=1000, show_default=True, help="Negatives from the pool."
)
@label_options
def fasttext(
    files: tuple[str, ...], out: str, form: str, pool_path: str | None, pool_score: str | None, negatives: int,
    label: str, good: str | None, fold: str | None, n_folds: int, settings: str | None, seed: int, is_dry: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Train a two-label fastText model; write it with a card and an evaluation page.

    Example: bicorpus train fasttext labels.parquet --label score --good keep --fold fold --out keep.bin
    """
    from pipeline.errors import UsageError

    if (pool_path is None) != (pool_score is None):
        raise UsageError("--pool and --pool-score go together")
    training = _module("data")
    data = training.read_labelled(_read(files), label, good, fold, n_folds)
    if "text" not in data.table.column_names:
        raise UsageError("no column 'text' in the labelled files")
    if is_dry:
        _print_labelled(data, out, as_json)
        return
    drawn = None
    if pool_path is not None:
        drawn = training.third_quartile(_read((pool_path,)), pool_score, negatives, seed)
    _print(_module("fasttext").train_fasttext(data, out, form, _settings(settings), drawn), as_json)


@train.command()
@files_argument
@out_option(".npz")
@click.option(
    "--columns", default="signals,language,fluency", show_default=True,
    help="Columns to learn from, or stages for all their numbers; computed from the text if the files lack them.",
)  # fmt: skip
@click.option("--join", "more", multiple=True, type=click.Path(exists=True, dir_okay=False),
              help="Files with further columns, such as labels of rows of a store; repeatable.")  # fmt: skip
@click.option("--on", default="row", show_default=True, help="Key of --join; `row` is the position in FILES.")
@label_options
def head(
    files: tuple[str, ...], out: str, columns: str, more: tuple[str, ...], on: str, label: str, good: str | None,
    fold: str | None, n_folds: int, settings: str | None, seed: int, is_dry: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Train trees over columns of stages, of your own or imported; write them with a card and an evaluation page.

    FILES may be rows of a store, written by `bicorpus export` with the columns to learn from.

    Example: bicorpus train head labels.parquet --label score --good keep --fold fold --out value.npz
    """
    from dataclasses import replace

    from pipeline.checking.computed import with_columns

    table = _read(files)
    for path in more:
        table = _module("data").joined(table, _read((path,)), on, path)
    data = _module("data").read_labelled(table, label, good, fold, n_folds)
    if is_dry:
        _print_labelled(data, out, as_json)
        return
    table, names = with_columns(data.table, split_names(columns) or [])
    data = replace(data, table=table)
    _print(_module("head").train_head(data, names, out, _settings(settings), seed), as_json)


@train.command()
@files_argument
@click.option("--base", required=True, help="The encoder: a folder, or org/name@commit that was fetched.")
@out_option("a folder")
@click.option("--prefix", default="", help="Text that the encoder expects before each document.")
@click.option(
    "--length", type=click.IntRange(8), help="Tokens of a document to read.  [default: all, up to 512]"
)
@click.option(
    "--fine-tune", "is_tuned", is_flag=True, help="Train the encoder as well; on a GPU if there is one."
)
@label_options
def encoder(
    files: tuple[str, ...], base: str, out: str, prefix: str, length: int | None, is_tuned: bool, label: str,
    good: str | None, fold: str | None, n_folds: int, settings: str | None, seed: int, is_dry: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Train a layer on an encoder; write the model, which classifiers.transformer loads, with its evaluation.

    Needs the extra `models`. --settings are of --fine-tune: epochs, batch, learning_rate, warmup, weight_decay, clip.
    Without it the encoder stays as it is, and nothing is drawn by --seed.

    Example: bicorpus train encoder labels.parquet --base models/bge-m3 --label score --good keep --out value
    """
    from pipeline.errors import UsageError

    if settings and not is_tuned:
        raise UsageError(
            "--settings: a frozen encoder has none; add --fine-tune, or use --prefix and --length"
        )
    data = _module("data").read_labelled(_read(files), label, good, fold, n_folds)
    if "text" not in data.table.column_names:
        raise UsageError("no column 'text' in the labelled files")
    if is_dry:
        _print_labelled(data, out, as_json)
        return
    tuning = _module("finetune").Settings.of(_settings(settings)) if is_tuned else None
    watch = _watched("fine-tune", as_json)
    _print(_module("encoder").train_encoder(data, base, out, prefix, length, tuning, seed, watch), as_json)


@train.command()
@files_argument
@out_option(".arpa")
@click.option("--lang", help="Documents to use, such as zh, if the files have several languages.")
@click.option("--order", type=click.IntRange(2, 6), default=5, show_default=True, help="Longest n-grams.")
@click.option("--prune", default="0", show_default=True,
              help="Leave out n-grams that occur no more often than this, by order: 0,0,1.")  # fmt: skip
@click.option("--tokens", default="characters", show_default=True,
              type=click.Choice(["characters", "words", "sentencepiece"]))  # fmt: skip
@click.option("--sentencepiece", type=click.Path(exists=True, dir_okay=False), help="SentencePiece model.")
@click.option("--normalize", default="ccnet", show_default=True, type=click.Choice(["ccnet", "none"]))
@click.option(
    "--lmplz", default="auto", show_default=True, help="KenLM's program: auto, own (not used), or a path."
)
@label_options
def kenlm(
    files: tuple[str, ...], out: str, lang: str | None, order: int, prune: str, tokens: str, sentencepiece: str | None,
    normalize: str, lmplz: str, label: str, good: str | None, fold: str | None, n_folds: int, settings: str | None,
    seed: int, is_dry: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train a KenLM model on the upper class of labelled documents; write it with a card and an evaluation page.

    Needs the extra `kenlm`. If KenLM's lmplz is on the PATH it estimates, otherwise bicorpus does, in memory.

    Example: bicorpus train kenlm labels.parquet --lang zh --label score --good ">=3" --out zh.arpa
    """
    from pipeline.errors import UsageError

    if (tokens == "sentencepiece") != (sentencepiece is not None):
        raise UsageError("--tokens sentencepiece and --sentencepiece MODEL go together")
    if settings:
        raise UsageError("--settings: train kenlm has none; use --order and --prune")
    try:
        thresholds = tuple(int(value) for value in prune.split(","))
    except ValueError as error:
        raise UsageError(f"--prune {prune}; expected numbers such as 0,0,1") from error
    training, data_module = _module("kenlm"), _module("data")
    data = data_module.read_labelled(_read(files), label, good, fold, n_folds)
    if lang is not None:
        data = data.take(data.languages == data_module.language_of(lang))
    if is_dry:
        _print_labelled(data, out, as_json)
        return
    model = training.Model(
        order=order, prune=thresholds, tokens=tokens, normalize=normalize, sentencepiece=sentencepiece,
        lmplz=training.find_lmplz(lmplz),
    )  # fmt: skip
    _print(training.train_kenlm(data, out, model), as_json)


@train.command()
@files_argument
@click.option("--pool", "pool_paths", multiple=True, required=True, type=click.Path(exists=True, dir_okay=False),
              help="Documents to search; repeatable.")  # fmt: skip
@out_option(".bin")
@click.option(
    "--rounds", type=click.IntRange(1), default=2, show_default=True, help="Trainings, one after another."
)
@click.option("--share", type=click.FloatRange(0, 0.5, min_open=True), default=0.05, show_default=True,
              help="Share of the pool to add per round.")  # fmt: skip
@form_option
@settings_option
@seed_option
@dry_run_option
@json_option
def mine(
    files: tuple[str, ...], pool_paths: tuple[str, ...], out: str, rounds: int, share: float, form: str,
    settings: str | None, seed: int, is_dry: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Find documents of a pool that resemble the seed set in FILES; write them, best first, and the fastText model.

    Example: bicorpus train mine textbooks.parquet --pool crawl.parquet --out textbook.bin
    """
    arguments = _settings(settings)
    if is_dry:
        _print_pool(_read(files), _read(pool_paths), out, as_json)
        return
    _print(
        _module("mine").mine(_read(files), _read(pool_paths), out, form, arguments, rounds, share, seed),
        as_json,
    )


@train.command()
@files_argument
@click.option("--pool", "pool_paths", multiple=True, required=True, type=click.Path(exists=True, dir_okay=False),
              help="Documents of the corpus; repeatable.")  # fmt: skip
@out_option(".npz")
@dry_run_option
@json_option
def like(files: tuple[str, ...], pool_paths: tuple[str, ...], out: str, is_dry: bool, as_json: bool) -> None:
    """Train a model of how much a document resembles those in FILES rather than a pool, for classifiers.like.

    FILES have the columns text and source, a pool has text; a column lang in both adds figures by language.

    Example: bicorpus train like textbooks.parquet --pool crawl.parquet --out textbooks.npz
    """
    if is_dry:
        _print_pool(_read(files), _read(pool_paths), out, as_json)
        return
    _print(_module("like").train_like(_read(files), _read(pool_paths), out), as_json)


def _module(name: str) -> Any:  # Any: a module of the package that this one must not import
    return importlib.import_module(f"{TRAINING}.{name}")


def _read(paths: tuple[str, ...]) -> Any:  # Any: pyarrow.Table, imported late
    """Rows of Parquet and JSON Lines files.

    Raises: UsageError for a file that is neither, or files whose columns have different types.
    """
    import pyarrow as pa
    import pyarrow.json
    import pyarrow.parquet

    from pipeline.errors import UsageError

    tables = []
    for path in paths:
        try:
            read = pyarrow.parquet.read_table if path.endswith(".parquet") else pyarrow.json.read_json
            tables.append(read(path))
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{path}: {error}; expected Parquet or JSON Lines") from error
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise UsageError(f"{', '.join(paths)}: {error}; expected the same columns in each") from error


def _watched(name: str, quiet: bool) -> Callable[[int], AbstractContextManager[Callable[[], None]]]:
    """Progress of a training on stderr, given its number of steps."""
    from pipeline.runtime.progress import Progress

    @contextmanager
    def watch(n_steps: int) -> Iterator[Callable[[], None]]:
        with Progress(quiet=quiet).phase(name, n_steps, "steps") as phase:
            yield phase.step

    return watch


def _settings(text: str | None) -> dict[str, Any]:  # Any: a number or text
    """Settings NAME=VALUE, numbers as numbers."""
    from pipeline.errors import UsageError

    settings: dict[str, Any] = {}
    for item in split_names(text) or []:
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--settings {item!r}; expected NAME=VALUE, such as dim=16")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def _print_labelled(data: Any, out: str, as_json: bool) -> None:  # Any: Labelled, of a package as above
    """What would be learnt from, and the model that would be written."""
    facts: dict[str, Any] = {
        "documents": len(data.good), "good": int(data.good.sum()), "sources": len(set(data.sources.tolist())),
        "folds": len(set(data.folds.tolist())), "languages": sorted(set(data.languages.tolist())), "out": out,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(facts))
        return
    say(
        f"{facts['documents']:,} documents ({', '.join(facts['languages'])}), {facts['good']:,} of the upper class, "
        f"{facts['sources']:,} sources in {facts['folds']:,} folds"
    )
    say(f"would write {out}, and its card and evaluation beside it")


def _print_pool(seeds: Any, pool: Any, out: str, as_json: bool) -> None:  # Any: pyarrow.Table, imported late
    facts = {"documents": seeds.num_rows, "pool": pool.num_rows, "out": out}
    if as_json:
        click.echo(json.dumps(facts))
        return
    say(f"{facts['documents']:,} documents, and {facts['pool']:,} of the pool")
    say(f"would write {out}, and its card beside it")


def _print(trained: Any, as_json: bool) -> None:  # Any: Trained, of a package that this one must not import
    if as_json:
        click.echo(json.dumps({"files": trained.files, "lines": trained.lines}, ensure_ascii=False))
        return
    for line in trained.lines:
        click.echo(line)
    for path in trained.files:
        click.echo(path)


COMMANDS = (train,)
