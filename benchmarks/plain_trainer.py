"""A fine-tuning script as the tutorials write it, for comparison: AutoModel, DataCollatorWithPadding, Trainer.

    python benchmarks/plain_trainer.py BASE TRAIN.jsonl TEST.jsonl --epochs 2 [--pad-to 256]

Without --pad-to each batch is padded to its longest row. Prints one JSON line. It imports nothing of classifine.
"""

import argparse
import json
import resource
import tempfile
import time

import numpy as np
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
    args = parser.parse_args()

    rows = load_dataset("json", data_files={"train": args.train, "test": args.test})
    names = sorted(set(rows["train"]["label"]))
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    padding = {"padding": "max_length"} if args.pad_to else {}

    def preprocess(batch):
        encoded = tokenizer(batch["text"], truncation=True, max_length=args.pad_to or 256, **padding)
        encoded["labels"] = [names.index(label) for label in batch["label"]]
        return encoded

    encoded = rows.map(preprocess, batched=True, remove_columns=["text", "label"])
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
        predicted = trainer.predict(encoded["test"]).predictions.argmax(axis=-1)
    truth = np.array(encoded["test"]["labels"])
    result = {
        "train_seconds": seconds,
        "rows_per_second": args.epochs * len(encoded["train"]) / seconds,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "accuracy": float((predicted == truth).mean()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
