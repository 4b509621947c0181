"""Settings: bounds, order, sentences."""

import pytest
from pydantic import ValidationError

from classifine.config import Config, Data, build, options, section_of, type_name
from classifine.errors import ConfigError
from classifine.settings import load_toml, merge, nested, parse_assignment, reference


def fields():
    return {name: field for _, name, field in options()}


def written(folder, text):
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_settings_are_the_defaults():
    assert build({}) == Config()
    assert build({}).train.seed == 42
    assert build({}).data.text == ()


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError):
        Config().train.seed = 1


def test_every_setting_has_a_help_line_and_a_unique_name():
    names = [name for _, name, _ in options()]
    assert len(names) == len(set(names))
    assert all(field.description and field.description.endswith(".") for field in fields().values())


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("train", "epochs", 0),
        ("train", "epochs", 1001),
        ("train", "batch_size", 0),
        ("train", "learning_rate", 0),
        ("train", "learning_rate", -2e-5),
        ("train", "learning_rate", 1.5),
        ("train", "weight_decay", -0.1),
        ("train", "warmup", -1),
        ("train", "schedule", "cos"),
        ("train", "metric", "f1"),
        ("train", "patience", 0),
        ("train", "seed", -1),
        ("train", "seed", 2**31),
        ("train", "seed", "many"),
        ("train", "epochs", 2.5),
        ("model", "max_length", 7),
        ("model", "base", 3),
        ("data", "validation_share", 0),
        ("data", "test_share", 0.5),
        ("data", "drop_duplicates", "perhaps"),
        ("data", "label", True),
        ("data", "text", 3),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_was_expected(section, name, value):
    with pytest.raises(ConfigError) as caught:
        build({section: {name: value}})
    message = str(caught.value)
    assert message.startswith(f"{section}.{name} is {value!r}; expected {type_name(fields()[name])}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("train", "epochs", 1000),
        ("train", "learning_rate", 1),
        ("train", "warmup", 500),
        ("train", "seed", 2**31 - 1),
        ("model", "max_length", 8),
        ("data", "test_share", 0.4),
    ],
)
def test_the_bounds_themselves_are_allowed(section, name, value):
    assert getattr(getattr(build({section: {name: value}}), section), name) == value


def test_every_mistake_is_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        build({"train": {"epochs": 0, "sede": 1}, "model": {"max_length": "x"}, "trian": {}})
    assert str(caught.value).splitlines() == [
        "model.max_length is 'x'; expected whole number (input should be a valid integer, "
        "unable to parse string as an integer). Change it.",
        "train.epochs is 0; expected whole number (input should be greater than or equal to 1). Change it.",
        "There is no setting 'train.sede'. Did you mean 'seed'?",
        "There is no section [trian]. Did you mean 'train'?",
    ]


def test_without_a_near_name_all_names_are_offered():
    with pytest.raises(ConfigError, match=r"There is no setting 'model.zzz'\. There are: base, max_length"):
        build({"model": {"zzz": 1}})


def test_one_text_column_may_be_written_without_brackets():
    assert build({"data": {"text": "body"}}).data.text == ("body",)
    assert build({"data": {"text": ["title", "body"]}}).data.text == ("title", "body")


def test_section_of():
    assert section_of("epochs") == "train"
    assert section_of("label") == "data"
    with pytest.raises(ConfigError, match=r"no setting 'epoch'\. Did you mean 'epochs'\?"):
        section_of("epoch")


def test_nested_sorts_plain_names_into_sections():
    assert nested({"epochs": 3, "label": "y", "seed": 1}) == {"train": {"epochs": 3, "seed": 1}, "data": {"label": "y"}}


def test_later_layers_win_and_no_layer_is_changed():
    first, second = {"train": {"epochs": 3, "seed": 1}}, {"train": {"epochs": 5}, "data": {"label": "y"}}
    assert merge(first, second) == {"train": {"epochs": 5, "seed": 1}, "data": {"label": "y"}}
    assert first == {"train": {"epochs": 3, "seed": 1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.epochs=3", {"train": {"epochs": 3}}),
        ("train.learning_rate=2e-5", {"train": {"learning_rate": 2e-5}}),
        ("data.label=yes", {"data": {"label": "yes"}}),
        ("data.drop_duplicates=true", {"data": {"drop_duplicates": True}}),
        ("model.base=me/my-base", {"model": {"base": "me/my-base"}}),
        ('data.delimiter=";"', {"data": {"delimiter": ";"}}),
        ("data.delimiter=;", {"data": {"delimiter": ";"}}),
        ("data.label=a=b", {"data": {"label": "a=b"}}),
        ('data.text=["title", "body"]', {"data": {"text": ["title", "body"]}}),
        (" train.epochs = 3 ", {"train": {"epochs": 3}}),
    ],
)
def test_parse_assignment(text, expected):
    assert parse_assignment(text) == expected


@pytest.mark.parametrize("text", ["epochs=3", "train.epochs", "train.=3", "=3", ""])
def test_an_assignment_of_another_shape_is_refused(text):
    with pytest.raises(ConfigError, match=r"Write it as section\.key=value, such as train\.epochs=3"):
        parse_assignment(text)


def test_toml_is_read_as_it_stands(tmp_path):
    path = written(tmp_path, '[data]\ntext = "body"\nlabel = "y"\n[train]\nlearning_rate = 2e-5\n')
    config = build(load_toml(path))
    assert (config.data.text, config.data.label, config.train.learning_rate) == (("body",), ("y",), 2e-5)


def test_toml_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "run.toml"
    path.write_bytes(b"\xef\xbb\xbf[train]\nseed = 7\n")
    assert load_toml(path) == {"train": {"seed": 7}}


def test_data_paths_are_taken_from_the_folder_of_the_toml_file(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\n", encoding="utf-8")
    path = written(tmp_path, '[data]\nsource = "rows.csv"\ntest = "absent.csv"\nlabel = "rows.csv"\n')
    assert load_toml(path)["data"] == {
        "source": str(tmp_path / "rows.csv"), "test": "absent.csv", "label": "rows.csv",
    }  # fmt: skip


def test_a_hub_id_stays_a_hub_id(tmp_path):
    path = written(tmp_path, '[data]\nsource = "fancyzhx/ag_news"\n')
    assert load_toml(path)["data"]["source"] == "fancyzhx/ag_news"


def test_the_reference_names_every_setting_once():
    page = reference()
    for section, name, field in options():
        assert page.count(f"| `{name}` | ") == 1
        assert str(field.description) in page
        assert f"## [{section}]" in page
    assert "| `epochs` | `--epochs` | whole number | found by itself | " in page
    assert "| `schedule` | `--schedule` | linear, cosine, constant | `linear` | " in page
    assert "| `text` | `--text` | list of text | found by itself | " in page
    assert "| `source` | (the argument) | " in page


def test_data_alone_is_a_whole_set_of_settings():
    assert Data(source="a.csv").model_dump()["validation_share"] == 0.1
