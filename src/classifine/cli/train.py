"""Commands that train: train, tune, glue, adapt, distill."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from classifine.cli.flags import (
    CHECKING,
    HUB,
    SEARCH,
    TRAINING,
    AsJson,
    Assignments,
    FilesOfTexts,
    Labelled,
    MostTexts,
    ReplaceClassifier,
    configure,
    with_settings,
)
from classifine.cli.streams import answer, say, saying_flags_of
from classifine.config import TEMPERATURE, Objective, build
from classifine.errors import ConfigError
from classifine.settings import load_toml, merge, nested

# For commands that take texts without labels.
NEW_WORDS = (
    "Words of the texts that the base's tokenizer splits or does not know get a token of their own, so many at most; 10000 "
    "where that is a quarter of the tokens, else 0. For WordPiece, as of BERT's family."
)


@with_settings(*TRAINING)
def train(
    data: Labelled,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of the classifier. [default: runs/NAME after the data, or NAME-2 and so on where that is taken]",
        ),
    ] = None,
    overwrite: ReplaceClassifier = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Find everything out and print the plan with its time; train nothing.")
    ] = False,
    set: Assignments = None,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Train a classifier, and judge it.

    Labelled texts in, an evaluated classifier in a folder out.
    """
    config = configure(data, settings or {}, set or [])
    from classifine import run

    if dry:
        plan = run.dry_run(config, output, overwrite, say)
        answer(as_json, plan.as_json(), plan.lines())
        return
    result = run.train(config, output, overwrite, say)
    answer(as_json, {"folder": str(result.folder), **result.evaluation.as_json()}, [result.folder])


@with_settings(
    *(name for name in TRAINING if name not in ("base", "seeds", "keep", "track", *HUB)),
    *(name for name in SEARCH if name != "bases"),
)
def tune(
    data: Labelled,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of the classifier. [default: runs/NAME-tuned]"),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the classifier or the unfinished search in that folder; it goes when the first trial begins.",
        ),
    ] = False,
    base: Annotated[
        list[str] | None,
        typer.Option(help="Pre-trained encoder: a folder or a Hub id; again for each that is to be tried."),
    ] = None,
    set: Assignments = None,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Look for better settings than the default recipe's.

    They are kept only if they are better.

    Each trial trains by other settings and is judged on validation rows; test rows have no part in it. Searched are
    learning rate, epochs, batch size, weight decay, schedule, warm-up, rate of the head and optimiser, and the base
    where several are named; what is given a value is not searched. Trials that fall behind are stopped early. The method
    is not searched: it is the one for all train rows, and any but probe, which takes no steps. With --rows the epochs
    are not searched either: fewer rows want more of them.

    In the end the best one and the default recipe are trained with the same few seeds. The best is kept where it is
    better by more than a standard error, else the default. The folder is that of a classifier, and holds
    tuned.toml, which `train` takes, trials.jsonl, and search.html, which draws the search.

    A search that was stopped goes on where it was, when the same command is given again. It needs optuna:
    pip install 'classifine[tune]'.
    """
    # Flags go before a file, which may name the other of the two.
    named = {} if not base else {"base": base[0], "bases": []} if len(base) == 1 else {"base": None, "bases": base}
    config = configure(data, {**(settings or {}), **named}, set or [])
    from classifine import tune as tuning

    result = tuning.tune(config, output, overwrite, saying_flags_of(tune))
    answer(as_json, result.as_json(), [result.folder])


@with_settings(
    *(setting for setting in TRAINING if setting not in (*CHECKING, "language", "test_share", *HUB)),
    metric="Validation metric that chooses the best epoch; by itself the task's official one, for F1 macro_f1.",
)
def glue(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK|RUN.TOML|submit",
            help="cola, mnli, mnli-mm, mrpc, qnli, qqp, rte, sst2, stsb or wnli; or a file of settings for one.",
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="For submit: folder with a classifier for each task.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--data", metavar="DIR", help="Folder that holds GLUE's files. [default: the Hub]")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every task that is found in --data.")] = False,
    start: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="Start from this classifier, such as one of mnli.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder, or zip of the submission. [default: runs/glue/TASK, with --all runs/glue, of submit submission.zip]",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace classifiers that are there.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Find everything out and print the plan of TASK; train nothing.")
    ] = False,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Train and judge a task of GLUE, or submit answers.

    It is judged on its validation rows; `submit` writes the leaderboard's zip.
    """
    from classifine import glue as tasks
    from classifine.data.glue import task_named

    if name == "submit":
        files = tasks.submit(folder or Path("runs/glue"), source, output or Path("submission.zip"), say)
        sys.stdout.write(f"{output or 'submission.zip'}: {', '.join(files)}\n")
        return
    if (name is None) == (not every) or folder is not None or (every and (source is None or dry)):
        raise ConfigError("Name one TASK, or --all with --data DIR, or submit DIR.")
    tell = saying_flags_of(glue)
    if start and "base" in (settings or {}):
        raise ConfigError("--from and --base both name what to begin with; expected one of them. Leave out the other.")
    given = merge(nested(settings or {}), {"model": {"base": start}} if start else {})
    if str(name).endswith(".toml"):
        config = build(merge(load_toml(Path(str(name))), given))
        name = tasks.task_of(config, Path(str(name)))
    else:
        config = build(given)
    if dry:
        plan = tasks.plan_task(str(name), source, config, tell)
        answer(as_json, plan.as_json(), plan.lines())
        return
    if every:
        found = tasks.train_all(str(source), config, output or Path("runs/glue"), overwrite, tell)
    else:
        place = output or Path("runs/glue") / task_named(str(name)).name
        found = [tasks.train_task(str(name), source, config, place, overwrite, tell)]
    answer(as_json, [score.as_json() for score in found], tasks.table(found))


@with_settings(
    "text", "text_pair", "encoding", "delimiter", "sheet", "language", "base", "max_length", "new_words", "epochs",
    "batch_size", "learning_rate", "precision", "seed", batch_size="Texts per optimiser step; 32 by itself.",
    epochs="Passes over the texts; as many as see about 60,000, from 1 to 20.",
    learning_rate="Peak learning rate of AdamW; 3e-4 for bases of up to 50M weights, 5e-5 up to 200M, 2e-5 beyond.",
    new_words=NEW_WORDS,
)  # fmt: skip
def adapt(
    texts: FilesOfTexts,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the adapted base.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the adapted base that is in that folder.")
    ] = False,
    objective: Annotated[
        Objective,
        typer.Option(help="What is learned: to guess masked tokens, or to tell which another network replaced."),
    ] = "masked",
    mask_share: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of the tokens to guess.")] = 0.15,
    held_out: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of the texts to judge each epoch by; 2000 at most.")
    ] = 0.05,
    max_rows: MostTexts = None,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Teach a base model the words of your own texts.

    That comes before `train`, and needs no labels.

    It goes on with what base models were pre-trained on: guessing tokens that are masked. That helps most where the
    texts are unlike what it has read, and there are many more of them than labels.

        classifine adapt letters.txt -o bases/letters

        classifine train labelled.csv --base bases/letters

    Files may be of any form that `train` reads, and columns are found as there (of a pair each text counts as one);
    labels are ignored. Empty texts and exact copies are left out. The base is the one that `train` would choose, and
    the epoch that guesses best on the texts held out is kept. What comes of a sentence encoder is none any more, so
    with few labels `train` then fine-tunes unless it is given --method lp-ft.

    With --objective replaced a part of the base guesses tokens, and the base learns to tell which of its tokens were
    replaced by such a guess. That teaches more of how things are said, as grammar. The last epoch is kept.
    """
    from classifine import adapt as adapting

    config = build(nested(settings or {}))
    options = adapting.AdaptOptions(mask_share, held_out, max_rows, objective)
    record = adapting.adapt(texts, config, options, output, overwrite, saying_flags_of(adapt))
    answer(as_json, {"folder": str(output), **record}, [output])


@with_settings(
    "test", "text", "text_pair", "label", "label_separator", "encoding", "delimiter", "sheet", "drop_unseen", "language", "base",
    "max_length", "new_words", "epochs", "batch_size", "learning_rate", "head_rate", "precision", "seed",
    test="Labelled rows to judge student and teacher on; without them their agreement alone is told.",
    batch_size="Texts per optimiser step; 32 by itself, of a static student 256.",
    epochs="Passes over the texts; as many as see about 50,000, from 2 to 12, of a static student 250,000, from 3 to 20.",
    learning_rate="Peak learning rate of AdamW; by itself that of `train`, of a static student 0.02.",
    new_words=NEW_WORDS,
    head_rate="How many times as fast as the rest the head learns; 10 by itself, of a static student 1.",
    max_length="Tokens kept of each text; 256 or what the model can read by itself, of a static student 512.",
    precision="auto takes bf16 where the hardware has it, by itself, else float32; a static student learns in float32.",
)  # fmt: skip
def distill(
    teacher: Annotated[
        Path, typer.Argument(metavar="TEACHER", help="Folder that `train` wrote, or OWNER/NAME on the Hub.")
    ],
    texts: FilesOfTexts,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the student.")],
    more: Annotated[
        list[Path] | None,
        typer.Option("--teacher", metavar="MODEL", help="Another teacher; the mean of the logits of all is taught."),
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="The same as --base static: a vector for each word, and no encoder.")
    ] = False,
    temperature: Annotated[
        float,
        typer.Option(
            min=0.1, max=100, help="What softens the teacher's answers; higher shows more of the lesser labels."
        ),
    ] = TEMPERATURE,
    held_out: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of the texts to judge each epoch by; 2000 at most.")
    ] = 0.1,
    max_rows: MostTexts = None,
    overwrite: ReplaceClassifier = False,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Teach a small, fast classifier what a big one knows.

    On texts without labels:

        classifine distill runs/big texts.txt --base sentence-transformers/all-MiniLM-L6-v2 -o runs/small

        classifine distill runs/big texts.txt --static --test labelled.csv -o runs/fast

    The student learns the teacher's answers to the texts, and how sure of them it is; of several teachers the mean. It is
    a classifier as any other, with the teacher's labels. A static student has no encoder, but a vector for each word: it
    is for very many rows, and for single texts.

    Files may be of any form that `train` reads; labels in them are ignored, empty texts and exact copies left out. The
    epoch that is nearest to the teacher on the texts held out is kept. Without --test all that is known of a student is
    how often it agrees with its teacher, not how often it is right.
    """
    from classifine import distill as distilling

    if static and "base" in (settings or {}):
        raise ConfigError("--static makes a student without an encoder, and --base names one. Leave out one of them.")
    given = nested({**(settings or {}), **({"base": "static"} if static else {})})
    options = distilling.DistillOptions(temperature, held_out, max_rows)
    record = distilling.distill(
        [teacher, *(more or [])], texts, build(given), options, output, overwrite, saying_flags_of(distill)
    )
    answer(as_json, {"folder": str(output), **record}, [output])
