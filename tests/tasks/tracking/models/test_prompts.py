"""Prompts are registered once per content, and the runs that used them are linked."""

import json
from pathlib import Path

from tasks.tracking import log_evaluation
from tasks.tracking.models.prompts import LINKS, completion_prompt, link_prompts, registered_name
from tasks.tracking.store.client import Requests, Store
from tests.tasks.tracking.trainings import runs, store_of, train

TEMPLATE = "{% for example in examples %}\n{{ example.text }}\n{% endfor %}\n{{ text }}\nAnswer:"


def test_a_completion_model_registers_the_prompt_of_its_folder_once(environment):
    for seed in (1, 2):
        train(environment, model="completion", seed=seed)
    client = store_of(environment)
    (version,) = client.search_prompt_versions("prompt-completion")
    assert version.template == "{{ text }}\n"
    for run in runs(environment):
        assert json.loads(run.data.tags[LINKS]) == [{"name": "prompt-completion", "version": "1"}]
    # Prompts are no models.
    assert {model.name for model in client.search_registered_models()} == {"completion"}
    assert {found.version for found in client.search_model_versions("name = 'completion'")} == {1, 2}


def test_other_content_is_another_version_and_linking_again_changes_nothing(environment):
    folder = train(environment)
    store, (run,) = Store(environment, Requests()), runs(environment)
    for template in (TEMPLATE, f"{TEMPLATE} now", TEMPLATE):
        link_prompts(store, run.info.run_id, {"a name": template})
    versions = store.client.search_prompt_versions("prompt-a-name")
    assert {version.template for version in versions} == {TEMPLATE, f"{TEMPLATE} now"}
    assert len(linked(store, run)) == 2
    log_evaluation(
        environment, model="language-model", folder=folder, metrics={}, artifacts=[], prompts={"zero": TEMPLATE}
    )
    assert {link["name"] for link in linked(store, run)} == {"prompt-a-name", "prompt-zero"}


def linked(store, run):
    return json.loads(store.client.get_run(run.info.run_id).data.tags[LINKS])


def test_a_prompt_is_named_after_its_file():
    assert completion_prompt({"prompt": str(Path("prompts/completion/summary.jinja"))}, "a") == {"summary": "a"}
    assert completion_prompt({}, "a") == {"completion": "a"}
    assert registered_name("a b/c") == "prompt-a-b-c"
