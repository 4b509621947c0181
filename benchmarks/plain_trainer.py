"""A fine-tuning script as the tutorials write it, for comparison: AutoModel, DataCollatorWithPadding, Trainer.

    python benchmarks/plain_trainer.py BASE TRAIN.jsonl TEST.jsonl --epochs 2 [--pad-to 256] [--bf16]

Rows have a text, a second one in `pair` where the task is of pairs, and a label: text, or a number to be predicted.
Without --pad-to each batch is padded to its longest row. Prints one JSON line. It imports nothing of classifine.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pad-to", type=int)
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--group-by-length", action="store_true")
    parser.add_argument("--predictions", help="JSON file to write the predictions to")
    args = parser.parse_args()

    rows = load_dataset("json", data_files={"train": args.train, "test": args.test})
    scores = isinstance(rows["train"][0]["label"], float)
    names = ["score"] if scores else sorted(set(rows["train"]["label"]))
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    padding = {"padding": "max_length"} if args.pad_to else {}

    def preprocess(batch):
        texts = (batch["text"], batch["pair"]) if "pair" in batch else (batch["text"],)
        encoded = tokenizer(*texts, truncation=True, max_length=args.pad_to or 256, **padding)
        encoded["labels"] = [label if scores else names.index(label) for label in batch["label"]]
        return encoded

    encoded = rows.map(preprocess, batched=True, remove_columns=rows["train"].column_names)
    model = AutoModelForSequenceClassification.from_pretrained(args.base, num_labels=len(names))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            learning_rate=args.learning_rate,
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=args.batch_size,
            num_train_epochs=args.epochs,
            weight_decay=0.01,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=args.seed,
            bf16=args.bf16,
            train_sampling_strategy="group_by_length" if args.group_by_length else "random",
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=encoded["train"],
            processing_class=tokenizer,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        start = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - start
        # Grouped by length the Trainer would also predict in another order than that of the rows.
        trainer.args.train_sampling_strategy = "random"
        found = trainer.predict(encoded["test"]).predictions
    predicted = found[:, 0] if scores else found.argmax(axis=-1)
    truth = np.array(encoded["test"]["labels"])
    if args.predictions:
        answers = [float(value) if scores else names[value] for value in predicted]
        Path(args.predictions).write_text(json.dumps(answers), encoding="utf-8")
    result = {
        "train_seconds": seconds,
        "rows_per_second": args.epochs * len(encoded["train"]) / seconds,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "accuracy": float((predicted == truth).mean()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
