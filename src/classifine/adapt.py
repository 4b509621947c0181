"""A base model adapted to the user's own unlabelled texts, in a folder that `train --base` takes.

What people should read goes to `say`; nothing here prints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from classifine.config import Config, Objective
from classifine.data.language import Language, find_language
from classifine.data.read import from_lists
from classifine.data.texts import Texts, read_texts
from classifine.errors import ConfigError
from classifine.model.base import ADAPTED, LOCAL_FOLDER, Base, find_base, find_suited
from classifine.model.disk import workplace
from classifine.model.folder import check_output
from classifine.model.masked import save_adapted
from classifine.model.network import fastest_device
from classifine.report.card import last_part
from classifine.say import Say

if TYPE_CHECKING:
    from classifine.train.adapt import Adapted

MOST_HELD_OUT = 2000  # texts; the standard error of their loss is near 0.02 nats
FORMAT = 1  # of the record


@dataclass(frozen=True)
class AdaptOptions:
    """What is asked beyond settings: the share of tokens to guess, that of texts to judge by, how many to read, and
    whether the base is to guess masked tokens or to tell which were replaced.
    """

    mask_share: float = 0.15
    held_out: float = 0.05
    max_rows: int | None = None
    objective: Objective = "masked"


def adapt(
    sources: Sequence[str], config: Config, options: AdaptOptions, output: Path, overwrite: bool, say: Say
) -> dict[str, Any]:
    """Unlabelled texts in, a base that knows their words in the folder `output` out; gives back its record.

    Raises a ClassifineError, and writes nothing, where texts, base or output do not do.
    """
    check_output(output, overwrite, record=ADAPTED)
    if options.objective not in get_args(Objective):
        raise ConfigError(f"objective is {options.objective!r}; expected one of {', '.join(get_args(Objective))}.")
    texts = read_texts(sources, config.data, options.held_out, MOST_HELD_OUT, options.max_rows, config.train.seed)
    for note in texts.notes:
        say(f"data    {note}")
    base, why, language = base_for(texts, config)
    if language is not None:
        say(f"data    language: {language}")
        say(f"base    {why} (--base changes it)")
    if base.pooling is not None:
        say(
            "hint    the base is a sentence encoder, and what comes of it is none: with few labels `train` fine-tunes it,"
        )
        say("        unless you give it --method lp-ft, and pairs are not compared before they are learned")
    # Loading torch takes seconds, and what is wrong with texts or base was told without it.
    from classifine.train.adapt import fit_texts
    from classifine.train.progress import constant_guess

    with workplace(output, overwrite) as place:
        adapted = fit_texts(texts, base, config, options.mask_share, say, options.objective)
        record = _record(sources, config, options, texts, base, adapted)
        save_adapted(place, adapted.network, adapted.tokenizer, base, record)
        (place / "README.md").write_text(_card(record), encoding="utf-8")
    after, training = adapted.after, adapted.training
    if adapted.before is None:
        told = f"{after['recall']:.0%} of the replaced tokens found, {after['precision']:.0%} of those named were"
        say(f"after   {told} (held-out texts, {after['replaced']:.0%} of their tokens replaced)")
        if not after["recall"] or after["loss"] >= constant_guess(np.array([[after["replaced"]]])):
            say("warning it has not learned to tell any of them yet. Give more texts, or more --epochs.")
    else:
        perplexity = record["perplexity"]["after"]
        say(f"after   held-out loss {after['loss']:.4f}, perplexity {perplexity:.1f} (epoch {training.best_epoch})")
        if not after["loss"] < adapted.before:
            say("warning no epoch was better than the base as it came. Lower --learning-rate, or give more texts.")
    seconds, rate = training.seconds, training.rows_per_second
    say(
        f"saved   {output} (trained in {seconds:.0f} s, {rate:.0f} rows/s). Next: classifine train DATA --base {output}"
    )
    return record


def base_for(texts: Texts, config: Config) -> tuple[Base, str, Language | None]:
    """(base, why, language): the base that is named, with nothing to explain, or the one that `train` would choose."""
    if config.model.base is not None:
        return find_base(config.model.base), "", None
    language = find_language(from_lists(texts.train, [None] * len(texts.train)), config.data.language)
    return (*find_suited(language.only, fastest_device()), language)


def _record(
    sources: Sequence[str], config: Config, options: AdaptOptions, texts: Texts, base: Base, adapted: "Adapted"
) -> dict[str, Any]:
    from classifine.train.account import versions
    from classifine.train.memory import peak_memory_mib
    from classifine.train.objectives import perplexity

    training, before, after = adapted.training, adapted.before, adapted.after
    reached: dict[str, Any] = {"detection": after}
    if before is not None:
        told = {"before": before, "after": after["loss"]}
        reached = {"loss": told, "perplexity": {when: perplexity(loss) for when, loss in told.items()}}
    return {
        "format": FORMAT,
        "base": base.name,
        "base_origin": base.origin,
        "adapted_from": base.adapted_from,
        "objective": options.objective,
        "new_head": adapted.new_head,
        # Others may read it, so of paths only their last part.
        "texts": [last_part(source) for source in sources],
        "rows": {"train": len(texts.train), "held_out": len(texts.held_out)},
        "train_rows_cut": adapted.cut,
        "config": config.model_dump(mode="json", include={"data", "model", "train"}),
        "mask_share": options.mask_share,
        "held_out": options.held_out,
        "max_rows": options.max_rows,
        "recipe": training.recipe.as_json(),
        "max_length": training.recipe.max_length,
        "seed": training.recipe.seed,
        **reached,
        "history": list(training.history),
        "best_epoch": training.best_epoch,
        "epochs_run": len(training.history),
        "train_seconds": training.seconds,
        "train_rows_per_second": training.rows_per_second,
        "peak_memory_mib": peak_memory_mib(training.recipe.device),
        "versions": versions(),
    }


def _card(record: dict[str, Any]) -> str:
    """A short README: what this is, how it was made, how to go on."""
    local = record["base_origin"] == LOCAL_FOLDER
    first = record["adapted_from"] or (Path(record["base"]).name if local else record["base"])
    learned = _guesses_told(record) if record["objective"] == "masked" else _detection_told(record)
    head = ["---", "library_name: transformers", f"pipeline_tag: {learned.task}", "tags:", "- classifine"]
    head += [] if local else [f"base_model: {record['base']}"]
    return "\n".join([
        *head, "---", "", f"# {first}, adapted", "",
        f"{first} trained on {record['rows']['train']:,} unlabelled texts {learned.what}", "",
        *learned.table, "", "It is a base model, not a classifier:", "", "    classifine train DATA --base THIS_FOLDER",
        *learned.use, "", f"How it was made is in {ADAPTED}.", "",
    ])  # fmt: skip


@dataclass(frozen=True)
class _Learned:
    """Of a card what depends on the objective: the Hub's task, in words and numbers what was learned, commands to use it."""

    task: str
    what: str
    table: list[str]
    use: tuple[str, ...] = ()


def _guesses_told(record: dict[str, Any]) -> _Learned:
    loss, guess = record["loss"], record["perplexity"]
    new = " It came without a head that guesses masked tokens, and got a new one." if record["new_head"] else ""
    return _Learned(
        "fill-mask",
        f"to guess {record['mask_share']:.0%} of their tokens (masked-language modelling, Gururangan et al. 2020).{new}",
        [
            f"| on {record['rows']['held_out']:,} held-out texts | before | after |", "| --- | --- | --- |",
            f"| loss of a masked token (nats) | {loss['before']:.4f} | {loss['after']:.4f} |",
            f"| perplexity | {guess['before']:.1f} | {guess['after']:.1f} |",
        ],
        ('    classifine fill-mask "a [MASK] text" --base THIS_FOLDER',),
    )  # fmt: skip


def _detection_told(record: dict[str, Any]) -> _Learned:
    found = record["detection"]
    return _Learned(
        "feature-extraction",
        f"to tell which of their tokens a small network had replaced, which guessed {record['mask_share']:.0%} of them "
        "(ELECTRA, Clark et al. 2020). It has no head that guesses masked tokens.",
        [
            f"| on {record['rows']['held_out']:,} held-out texts | |", "| --- | --- |",
            f"| replaced tokens that it names | {found['recall']:.1%} |",
            f"| tokens it names that were replaced | {found['precision']:.1%} |",
        ],
    )  # fmt: skip
