"""What holds for all settings: no defaults, unique names; and the rules between settings of one section."""

import importlib
import pkgutil
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

import lmcore.config
from lmcore.config.base import Config
from lmcore.config.clean import CleanConfig
from lmcore.config.collect import Source
from tasks.context.parameters import load_parameters

PARAMETERS = load_parameters(Path(__file__).parents[3] / "params.yaml")


def classes() -> list[type[Config]]:
    modules = [
        importlib.import_module(f"lmcore.config.{found.name}") for found in pkgutil.iter_modules(lmcore.config.__path__)
    ]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Config) and value.__module__ == module.__name__
    ]


def test_no_setting_has_a_default_value() -> None:
    assert len(classes()) > 30
    for config in classes():
        assert [name for name, field in config.model_fields.items() if not field.is_required()] == []


def test_no_two_classes_of_settings_have_one_name() -> None:
    assert [name for name, count in Counter(config.__name__ for config in classes()).items() if count > 1] == []


@pytest.mark.parametrize("changes", [{"annotations": ("lemmas",)}, {"personal_data": {"kinds": ("person",)}}])
def test_what_needs_a_trained_pipeline_is_refused_without_one(changes: dict[str, object]) -> None:
    values = PARAMETERS.clean.model_dump()
    if isinstance(personal_data := changes.get("personal_data"), dict):
        changes = {"personal_data": values["personal_data"] | personal_data}
    with pytest.raises(ValidationError, match="a trained spaCy pipeline, but `pipeline` is null: install one"):
        CleanConfig.model_validate(values | changes)
    CleanConfig.model_validate(values | changes | {"pipeline": "en_core_web_sm"})


def test_a_source_has_a_reader_for_its_location() -> None:
    source = PARAMETERS.collect.sources[0].model_dump()
    files = {"location": {"kind": "local", "paths": ("a.txt",)}, "reader": {"kind": "parallel_lines", "encoding": None}}
    with pytest.raises(ValidationError, match="parallel_lines reads two files: give the texts first"):
        Source.model_validate(source | files)
    data_set = {"kind": "dataset", "path": "a", "dataset_split": None, "configuration": None}
    with pytest.raises(ValidationError, match=r"a data set consists of records; set reader\.kind to records"):
        Source.model_validate(source | {"location": data_set})
