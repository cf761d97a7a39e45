from __future__ import annotations

import subprocess
import sys

import pytest
import segmentation_models_pytorch as smp
import timm

from segbench import SegbenchError
from segbench_smp.known import _is_in_the_source, require_encoder


def test_every_encoder_of_smp_and_every_model_of_timm_is_found_in_the_source():
    names = [*smp.encoders.get_encoder_names(), *(f"tu-{name}" for name in timm.list_models())]
    assert [name for name in names if not _is_in_the_source(name)] == []


@pytest.mark.parametrize("name", ["resnet19", "tu-resnet19", "tu-", "", "params", "tu-create_model", "tu-resnet18.a9"])
def test_what_nobody_defines_is_refused_with_the_nearest(name):
    assert not _is_in_the_source(name)
    with pytest.raises(SegbenchError, match="is unknown; give one of SMP's own encoders"):
        require_encoder(name)


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet10t", "tu-resnet50.a1_in1k"])
def test_a_known_name_is_taken_without_importing_torch(name):
    code = f"import sys; from segbench_smp.known import require_encoder; require_encoder({name!r}); "
    subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=True)
