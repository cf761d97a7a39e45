import pytest

from segbench import SegbenchError
from segbench_classic import segbench_generators

BUILD = {component.name: component.build for component in segbench_generators()}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet", {"width": 0}, "classic/unet: width is 0; give at least 1"),
        ("unet", {"dropout": 1.0}, "classic/unet: dropout is 1.0; give a share from 0 to below 1"),
        ("fcn8s", {"fc_channels": 0}, "classic/fcn8s: fc_channels is 0; give at least 1"),
        ("fcn8s", {"dropout": -0.1}, "classic/fcn8s: dropout is -0.1"),
        ("fcn8s", {"fc_channels": 8, "backbone_weights": "imagenet"}, "pretrained layers have 4096 channels"),
        ("deeplab_largefov", {"dropout": 2.0}, "classic/deeplab_largefov: dropout is 2.0"),
    ],
)
def test_an_option_out_of_range_is_an_error(name, options, message):
    with pytest.raises(SegbenchError, match=message):
        BUILD[name](3, 2, **options)
