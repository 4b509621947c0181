"""A static student before its lessons: the words of its texts, each with the vector that the teacher's encoder gives it.

Model2Vec (Tulkens and van Dongen 2024) starts so: each word alone through the encoder, the mean of its last states, and
the first principal components of all of these. The package of that name holds transformers below the versions that we
need, and this much of it is a pass through our own forward loop. Its weights by rank are left out, as the vectors are
trained on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifine.config import Config
from classifine.data.encode import pad_id, tokenise
from classifine.data.row import Text
from classifine.errors import ConfigError, DataError
from classifine.infer.forward import logits
from classifine.infer.torch_engine import EncoderEngine
from classifine.labels import Labels
from classifine.model.base import LOCAL_FOLDER, Base
from classifine.model.folder import Saved, kind
from classifine.model.network import PROBLEM_TYPES
from classifine.model.static import STATIC, static_config, word_tokenizer, words_of
from classifine.model.static_network import StaticNetwork
from classifine.say import Say
from classifine.train.choose import choose_static
from classifine.train.distill import Student
from classifine.train.hardware import look_at_hardware

MOST_WORDS = 50_000
WIDTH = 128  # numbers of a vector
MAX_LENGTH = 512  # words kept of a text
_LONGEST = 32  # tokens of a word that the teacher's encoder reads
SPREAD = 0.1  # standard deviation of the numbers of the vectors at first


def static_student(teacher: Saved, texts: Sequence[Text], labels: Labels, config: Config, say: Say) -> Student:
    """A student with the words that two of the texts have at least; DataError where these are pairs, or have no such."""
    single = [text for text in texts if isinstance(text, str)]
    if len(single) < len(texts):
        raise DataError(
            "A static student reads single texts, and its teacher judges pairs. Name an encoder with --base."
        )
    if config.model.new_words:
        raise ConfigError("--new-words is for encoders, and a static student has a vector for each word. Drop it.")
    words = words_of(single, MOST_WORDS)
    if not words:
        raise DataError(
            "No word is in two of the texts; expected some that a static student can learn. Give more texts."
        )
    vectors = _vectors(teacher, words)
    config_json = static_config(labels, PROBLEM_TYPES[labels.task], len(words) + 2, vectors.shape[1])
    network = StaticNetwork(config_json)
    with torch.no_grad():
        # Padding stays nothing, and words that are not known start as nothing.
        network.embedding.weight.zero_()
        network.embedding.weight[2:] = torch.from_numpy(vectors)
    tokenizer: Any = word_tokenizer(words)
    max_length = config.model.max_length or MAX_LENGTH
    recipe = choose_static(
        config.train, look_at_hardware(), len(texts), network.num_parameters(), max_length, labels.task
    )
    say(
        f"base    static: {len(words)} words of the texts, vectors of {vectors.shape[1]} numbers from the teacher's encoder (--base)"
    )
    say(
        f"recipe  {recipe.epochs} epochs of batches of {recipe.batch_size}, peak rate {recipe.learning_rate:g} (--epochs, --batch-size, --learning-rate)"
    )
    assert teacher.folder is not None
    return Student(network, tokenizer, recipe, Base(STATIC, teacher.folder, LOCAL_FOLDER))


def _vectors(teacher: Saved, words: Sequence[str]) -> NDArray[np.float32]:
    """A vector for each word (words, width) of the encoder's own; drawn where the teacher has none."""
    assert teacher.folder is not None
    if kind(teacher.folder) == "static":
        drawn = torch.randn(len(words), WIDTH).numpy() * SPREAD
        return np.asarray(drawn, dtype=np.float32)
    columns = tokenise(words, teacher.reader, min(_LONGEST, teacher.max_length))
    states = logits(EncoderEngine(teacher.network.base_model), columns, pad_id(teacher.reader))
    return principal(states, WIDTH) * np.float32(SPREAD)


def principal(states: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The first principal components (rows, width at most) of states (rows, size), with a mean square of 1."""
    centred = np.asarray(states, dtype=np.float64) - states.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    found = centred @ directions[:, ::-1][:, :width]
    return np.asarray(found / max(float(np.sqrt((found**2).mean())), 1e-12), dtype=np.float32)
