import json
import subprocess
import sys

import psutil
import pytest
import torch

from tasks.context.machine import machine_facts, peak_matrix_rate


def test_facts_name_processor_memory_and_an_explicit_number_of_gpus():
    facts = machine_facts()
    assert all(facts.values())
    assert 1 <= int(facts["machine.cores"]) <= psutil.cpu_count()
    assert 0 < float(facts["machine.memory_gib"]) <= psutil.virtual_memory().total / 2**30 + 0.1
    assert facts["gpu.count"] == str(torch.cuda.device_count() if torch.cuda.is_available() else 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_facts_describe_each_gpu():
    facts = machine_facts()
    assert float(facts["gpu.0.memory_gib"]) > 1
    assert float(facts["gpu.0.power_limit_watts"]) > 10
    assert facts["gpu.driver"][0].isdigit()
    assert facts["gpu.0.compute_capability"] == ".".join(map(str, torch.cuda.get_device_capability(0)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_hidden_gpus_are_not_counted():
    command = "from tasks.context.machine import machine_facts; print(machine_facts()['gpu.count'])"
    environment = {"CUDA_VISIBLE_DEVICES": "", "PATH": ""}
    result = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True)
    assert result.stdout.strip() == "0"


def test_the_peak_rate_is_measured_once_and_plausible(tmp_path):
    cache = tmp_path / "rates.json"
    rate = peak_matrix_rate(torch.device("cpu"), torch.float32, cache)
    assert 1e8 < rate < 1e14
    assert list(json.loads(cache.read_text()).values()) == [rate]
    assert peak_matrix_rate(torch.device("cpu"), torch.float32, cache) == rate


def test_a_damaged_cache_of_rates_is_measured_again(tmp_path):
    cache = tmp_path / "rates.json"
    cache.write_text("{")
    assert peak_matrix_rate(torch.device("cpu"), torch.float32, cache) > 1e8
