from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from segbench.config.protocol import Budget, TrainingProtocol
from segbench.config.recipe import Penalty
from segbench.engine.adversarial.adversary import (
    DiscriminatorOutput,
    DiscriminatorUpdate,
    check_score_maps,
    compute_features,
    draw_noise_like,
    log_odds,
    masked_mean,
    mean_loss,
    parameter_names,
    shuffle_labels,
)
from segbench.engine.adversarial.pairing import Pair
from segbench.errors import PluginError, SpecError

SETTINGS = TrainingProtocol(budget=Budget(steps=8), batch_size=2, crop=(8, 8))


LABELS = torch.tensor([[[0, 0, 1, 1], [0, 255, 1, 1], [1, 1, 0, 0], [1, 1, 0, 255]]])


class Patches(nn.Module):
    """A score for each 2 x 2 pixels: the sum of all their values, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return self.weight * 4 * nn.functional.avg_pool2d(x.sum(dim=1, keepdim=True), 2)


class WithFeatures(Patches):
    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x, self.weight * x.mean(dim=(1, 2, 3))]


class Difference:
    """The discriminator's score of the fake against that of the real."""

    boundary = None

    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return fake - real

    def generator(self, fake: torch.Tensor) -> torch.Tensor:
        return -fake


class FeatureDistance:
    def discriminator(self, real_features, fake_features):
        return -self.generator(real_features, fake_features)

    def generator(self, real_features, fake_features):
        return sum((real - fake).abs().mean() for real, fake in zip(real_features, fake_features, strict=True))


def a_pair(number: int = 1) -> Pair:
    """Two-class fields of 4 x 4 pixels under a one-channel condition; a quarter of the last cell is void."""
    torch.manual_seed(0)
    mask = torch.ones(number, 1, 4, 4, dtype=torch.bool)
    mask[:, :, 3, 3] = False
    return Pair(torch.rand(number, 1, 4, 4), torch.rand(number, 2, 4, 4), torch.rand(number, 2, 4, 4), mask)


def everywhere(*size: int) -> torch.Tensor:
    return torch.ones(1, 1, *size, dtype=torch.bool)


# mean_loss -----------------------------------------------------------------------------------------------------------


def readings(*maps: float) -> DiscriminatorOutput:
    """Return score maps of growing size, each of one value."""
    return DiscriminatorOutput([torch.full((1, 1, 2**place, 2**place), value) for place, value in enumerate(maps)], [])


def test_score_maps_count_alike_whatever_their_size():
    loss = mean_loss(Difference().discriminator, readings(1.0, 2.0), readings(4.0, 9.0), LABELS, everywhere(4, 4))
    assert loss == ((4 - 1) + (9 - 2)) / 2


def test_a_loss_is_given_what_it_asks_for_by_name():
    given = {}

    def method(real_features, labels, fake):
        given.update(real_features=real_features, labels=labels, fake=fake)
        return fake.mean()

    real = DiscriminatorOutput([torch.zeros(1, 1, 2, 2)], [torch.ones(3)])
    fake = DiscriminatorOutput([torch.full((1, 1, 2, 2), 5.0)], [torch.zeros(3)])
    assert mean_loss(method, real, fake, LABELS, everywhere(4, 4)) == 5
    assert given["real_features"] is real.features
    assert given["fake"] is fake.scores[0]
    assert given["labels"].dtype == torch.int64


def test_labels_are_those_at_the_resolution_of_the_scores():
    seen = []

    def method(fake, labels):
        seen.append(labels)
        return fake

    mean_loss(method, DiscriminatorOutput([], []), readings(0.0, 0.0, 0.0), LABELS, everywhere(4, 4))
    # Nearest: the upper left pixel of each cell, by which void stays void.
    assert [labels.tolist() for labels in seen] == [[[[0]]], [[[0, 1], [1, 0]]], LABELS.tolist()]


def test_labels_at_twice_their_resolution_are_repeated():
    seen = []

    def method(fake, labels):
        seen.append(labels)
        return fake

    mean_loss(
        method,
        DiscriminatorOutput([], []),
        DiscriminatorOutput([torch.zeros(1, 1, 8, 8)], []),
        LABELS,
        everywhere(4, 4),
    )
    assert torch.equal(seen[0], LABELS.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_a_loss_of_single_scores_refuses_scores_of_classes():
    classes = DiscriminatorOutput([torch.zeros(1, 3, 4, 4)], [])
    with pytest.raises(SpecError, match="returns 3 scores a pixel, one for each class, but the adversarial loss"):
        mean_loss(Difference().discriminator, classes, classes, LABELS, everywhere(4, 4))


def test_a_loss_of_classes_and_one_of_features_alone_take_scores_of_classes():
    classes = DiscriminatorOutput([torch.zeros(1, 3, 4, 4)], [torch.ones(2)])
    loss = mean_loss(lambda fake, labels: fake.mean(), classes, classes, LABELS, everywhere(4, 4))
    assert loss == mean_loss(FeatureDistance().generator, classes, classes, LABELS, everywhere(4, 4)) == 0


def test_the_names_of_a_method_are_those_of_its_parameters():
    assert parameter_names(Difference().discriminator) == {"real", "fake"}
    assert parameter_names(FeatureDistance().generator) == {"real_features", "fake_features"}


# What a discriminator may return
# --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "described"),
    [
        (torch.zeros(2), r"\(2,\)"),
        (torch.zeros(2, 1), r"\(2, 1\)"),
        (torch.zeros(3, 1, 4, 4), r"\(3, 1, 4, 4\)"),
        ([], ""),
        ([torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4)], r"\(2, 1, 4, 4\), \(2, 4, 4\)"),
        ("fake", "<class 'str'>"),
        (None, "<class 'NoneType'>"),
    ],
)
def test_what_is_no_score_map_is_the_plugins_mistake(scores, described):
    with pytest.raises(PluginError, match=rf"discriminator Patches returned {described} for 2 samples; expected raw"):
        check_score_maps(scores, 2, Patches())


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2, 1, 3, 5), (2, 4, 8, 8)])
def test_score_maps_may_have_any_size_and_several_classes(shape):
    scores = torch.zeros(shape)
    assert check_score_maps(scores, 2, Patches()) == [scores]
    assert check_score_maps((scores, scores), 2, Patches()) == [scores, scores]


def test_features_are_refused_where_a_discriminator_has_none():
    with pytest.raises(
        PluginError, match=r"discriminator Patches has no method features\(x\), whose result this adversarial"
    ):
        compute_features(Patches(), torch.zeros(1, 1, 4, 4))


def test_a_loss_of_features_is_given_those_of_real_and_fake(adversary):
    made, pair = adversary(SETTINGS, discriminator=WithFeatures(), loss=FeatureDistance()), a_pair(2)
    real, fake = (torch.cat([pair.condition, field], 1) for field in (pair.real, pair.fake))
    distance = (real - fake).abs().mean() + 2 * (real.mean(dim=(1, 2, 3)) - fake.mean(dim=(1, 2, 3))).abs().mean()
    torch.testing.assert_close(made.generator_loss(pair, LABELS), distance)
    torch.testing.assert_close(made.discriminator_loss(pair, LABELS, 0).loss, -distance)


def test_a_loss_of_features_with_a_discriminator_without_them_is_refused(adversary):
    made = adversary(SETTINGS, discriminator=Patches(), loss=FeatureDistance())
    with pytest.raises(PluginError, match="has no method features"):
        made.generator_loss(a_pair(), LABELS)


# Losses -------------------------------------------------------------------------------------------------------------


def cell_sums(pair: Pair, field: torch.Tensor) -> torch.Tensor:
    """Return the scores of `Patches` of a field under the pair's condition, written by hand."""
    values = torch.cat([pair.condition, field], 1).sum(1)
    return 2 * torch.stack(
        [values[:, row : row + 2, column : column + 2].sum((1, 2)) for row in (0, 2) for column in (0, 2)], 1
    )


def test_the_discriminators_loss_is_that_of_its_scores_over_cells_that_count(adversary):
    made, pair = adversary(SETTINGS, discriminator=Patches(), loss=Difference()), a_pair()
    shares = torch.tensor([1.0, 1.0, 1.0, 0.75])
    difference = (cell_sums(pair, pair.fake) - cell_sums(pair, pair.real))[0]
    update = made.discriminator_loss(pair, LABELS, 0)
    torch.testing.assert_close(update.loss, (shares * difference).sum() / 3.75)
    torch.testing.assert_close(update.real.scores[0].flatten(), cell_sums(pair, pair.real)[0])


def test_the_discriminators_loss_gives_no_gradient_to_the_generator(adversary):
    made, pair = adversary(SETTINGS, discriminator=Patches(), loss=Difference()), a_pair()
    pair.fake.requires_grad_()
    made.discriminator_loss(pair, LABELS, 0).loss.backward()
    assert pair.fake.grad is None
    assert made.discriminator.weight.grad is not None


def test_the_generators_loss_gives_its_gradient_through_the_fake_alone(adversary):
    made, pair = adversary(SETTINGS, discriminator=Patches(), loss=Difference()), a_pair()
    pair.fake.requires_grad_()
    gradient = made.gradient(made.generator_loss(pair, LABELS), pair.fake)
    # -2 for each pixel, times the share that its cell has in the mean.
    expected = torch.full((1, 2, 4, 4), -2 / 3.75)
    expected[..., 2:, 2:] *= 0.75
    torch.testing.assert_close(gradient, expected)
    assert made.discriminator.weight.grad is None


def test_compiled_for_a_gpu_a_discriminator_makes_no_gradients_of_its_weights_for_the_generators_loss(adversary):
    made, pair, asked = adversary(SETTINGS, discriminator=Patches(), loss=Difference()), a_pair(), []
    made.discriminator.register_parameter("frozen", nn.Parameter(torch.zeros(1), requires_grad=False))

    def compiled(inputs):
        asked.append(made.discriminator.weight.requires_grad)
        return made.discriminator(inputs)

    fast = replace(made, compiled=compiled, device=torch.device("cuda"))
    pair.fake.requires_grad_()
    gradients = [one.gradient(one.generator_loss(pair, LABELS), pair.fake) for one in (made, fast)]
    fast.discriminator_loss(pair, LABELS, 0).loss.backward()
    assert torch.equal(*gradients)
    assert asked == [False, True, True]  # the generator's pass, and the discriminator's of real and fake
    assert made.discriminator.weight.grad is not None
    assert not made.discriminator.frozen.requires_grad


def test_reals_are_shown_without_a_gradient_to_a_loss_that_asks_for_them(adversary):
    class Relative(Difference):
        def generator(self, real, fake):
            self.seen = real
            return real - fake

    made, pair = adversary(SETTINGS, discriminator=Patches(), loss=Relative()), a_pair()
    pair.fake.requires_grad_()
    loss = made.generator_loss(pair, LABELS)
    assert not made.loss.seen.requires_grad
    shares = torch.tensor([1.0, 1.0, 1.0, 0.75])
    expected = (shares * (cell_sums(pair, pair.real) - cell_sums(pair, pair.fake))[0]).sum() / 3.75
    torch.testing.assert_close(loss, expected)


def test_a_real_that_no_one_asks_for_is_not_shown_for_the_generators_loss(adversary):
    made = adversary(SETTINGS, discriminator=Patches(), loss=Difference())
    made.generator_loss(a_pair(), LABELS)
    assert len(made.discriminator.seen) == 1


@pytest.mark.parametrize(
    ("recipe", "extra", "shares"),
    [
        ({}, [0, 0, 0, 0, 0], True),
        ({"d_steps": 3}, [2, 2, 2, 2, 2], True),
        ({"alternate": 2}, [2, 0, 2, 0, 2], False),
        ({"alternate": 1}, [1, 1, 1, 1, 1], False),
        ({"placebo": "frozen", "d_steps": 3}, [0, 0, 0, 0, 0], False),
        ({"placebo": "frozen", "alternate": 2}, [0, 0, 0, 0, 0], False),
    ],
)
def test_the_recipe_says_how_many_discriminator_steps_come_before_a_step(adversary, recipe, extra, shares):
    made = adversary(SETTINGS, **recipe)
    assert [made.extra_steps(step) for step in range(5)] == extra
    assert made.shares_batches is shares


def test_the_weight_rises_linearly_and_stays(adversary):
    made = adversary(SETTINGS, weight=0.8, warmup_steps=1)
    assert [made.weight(step) for step in range(3)] == [0.4, 0.8, 0.8]
    assert adversary(SETTINGS, weight=0.8).weight(0) == 0.8


def test_the_placebo_detached_has_no_weight(adversary):
    assert adversary(SETTINGS, weight=0.8, placebo="detached").weight(5) == 0


def test_the_placebo_noise_gives_noise_of_the_gradients_norm(adversary):
    made, pair = adversary(SETTINGS, discriminator=Patches(), loss=Difference(), placebo="noise"), a_pair(2)
    pair.fake.requires_grad_()
    loss = made.generator_loss(pair, LABELS)
    (gradient,) = torch.autograd.grad(loss, pair.fake, retain_graph=True)
    noise = made.gradient(loss, pair.fake)
    torch.testing.assert_close(noise.flatten(1).norm(dim=1), gradient.flatten(1).norm(dim=1))
    assert not torch.allclose(noise, gradient)


@pytest.mark.parametrize(("loss", "boundary"), [(Difference(), None), (FeatureDistance(), 0.0)])
def test_the_boundary_is_the_losss_own_or_0(adversary, loss, boundary):
    assert adversary(SETTINGS, loss=loss).boundary == boundary


def test_clipping_bounds_weights_and_none_means_none(adversary):
    bounded, free = (adversary(SETTINGS, discriminator=Patches(), **recipe) for recipe in ({"clip": 0.5}, {}))
    for made in (bounded, free):
        made.clip_weights()
    assert bounded.discriminator.weight == 0.5
    assert free.discriminator.weight == 2


# Penalties -----------------------------------------------------------------------------------------------------------


def mean_of_real(discriminator, real, fake):
    return discriminator(real).mean()


def penalised(adversary, penalty, weight: float = 1.0, every: int = 1, settings=SETTINGS, **made):
    """Return an adversary under a penalty."""
    plain = adversary(settings, **{"discriminator": Patches(), "loss": Difference(), **made})
    recipe = plain.recipe.model_copy(update={"penalty": Penalty(use="test/penalty", weight=weight, every=every)})
    return replace(plain, penalty=penalty, recipe=recipe)


def test_a_penalty_counts_with_its_weight(adversary):
    made, pair = penalised(adversary, mean_of_real, weight=3.0), a_pair()
    without = adversary(SETTINGS, discriminator=Patches(), loss=Difference()).discriminator_loss(pair, LABELS, 0).loss
    expected = without + 3 * cell_sums(pair, pair.real).mean()
    torch.testing.assert_close(made.discriminator_loss(pair, LABELS, 0).loss, expected)


def test_a_lazy_penalty_is_taken_at_every_few_steps_and_counts_so_many_times(adversary):
    made, pair = penalised(adversary, mean_of_real, weight=3.0, every=4), a_pair()
    losses = torch.stack([made.discriminator_loss(pair, LABELS, step).loss for step in range(8)])
    penalty = cell_sums(pair, pair.real).mean()
    expected = torch.tensor([4.0, 0, 0, 0, 4, 0, 0, 0]) * 3 * penalty
    torch.testing.assert_close(losses - losses[1], expected)


def test_a_penalty_sees_the_field_alone_and_the_condition_is_bound(adversary):
    seen = {}

    def penalty(discriminator, real, fake):
        seen.update(real=real, fake=fake, scores=discriminator(fake))
        return torch.zeros(())

    made, pair = penalised(adversary, penalty), a_pair()
    made.discriminator_loss(pair, LABELS, 0)
    assert torch.equal(seen["real"], pair.real)
    assert torch.equal(seen["fake"], pair.fake)
    assert not seen["fake"].requires_grad
    torch.testing.assert_close(seen["scores"].flatten(1), cell_sums(pair, pair.fake))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_penalty_is_taken_in_float32_whatever_the_precision(adversary, precision):
    types = {}

    class Convolution(nn.Conv2d):
        def forward(self, x):
            scores = super().forward(x)
            types.setdefault(scores.dtype, scores)
            return scores

    def penalty(discriminator, real, fake):
        types.clear()
        scores = discriminator(real)
        assert {real.dtype, fake.dtype, scores.dtype, *types} == {torch.float32}
        return scores.mean()

    settings = SETTINGS.model_copy(update={"precision": precision})
    made = penalised(adversary, penalty, settings=settings, discriminator=Convolution(3, 1, 1))
    loss = made.discriminator_loss(a_pair(), LABELS, 0).loss
    assert loss.dtype == torch.float32
    # Scores that the loss sees are float32 too, but come out of a pass in the protocol's precision.
    types.clear()
    made.discriminate(None, torch.rand(1, 3, 4, 4))
    assert set(types) == {torch.bfloat16 if precision == "bf16" else torch.float32}


def test_a_gradient_penalty_trains_the_discriminator_under_bf16(adversary):
    from segbench.registry import load_registry

    gradient_penalty = load_registry().find("loss", "gan/gradient_penalty").component.build()
    settings = SETTINGS.model_copy(update={"precision": "bf16"})
    discriminator = nn.Conv2d(3, 1, 1)
    made = penalised(adversary, gradient_penalty, weight=1e6, settings=settings, discriminator=discriminator)
    made.discriminator_loss(a_pair(2), LABELS, 0).loss.backward()
    # A linear discriminator's gradient is its weight by the number of scores in a mean, wherever it is taken.
    weight = discriminator.weight.detach().flatten()[1:] / 16
    norm = (16 * weight.square().sum()).sqrt()
    expected = 1e6 * 2 * (norm - 1) * weight / norm
    torch.testing.assert_close(discriminator.weight.grad.flatten()[1:], expected, rtol=1e-4, atol=10)


# Score maps ----------------------------------------------------------------------------------------------------------


def test_a_score_map_shows_the_discriminators_scores_of_predictions_at_their_size(adversary):
    discriminator = Patches()
    made = adversary(SETTINGS, discriminator=discriminator, encoding="one_hot")
    images, logits = torch.rand(2, 3, 4, 4), torch.rand(2, 2, 4, 4)
    shown = made.evaluate_score_map(images, logits)
    torch.testing.assert_close(discriminator.seen[0], torch.cat([images, logits.softmax(1)], 1))
    scores = 2 * 4 * nn.functional.avg_pool2d(discriminator.seen[0].sum(1, keepdim=True), 2)
    expected = nn.functional.interpolate(scores, logits.shape[-2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(shown, expected)
    assert shown.shape == (2, 1, 4, 4)
    assert not shown.requires_grad


def test_the_score_map_of_several_scales_is_their_mean(adversary):
    class Scales(nn.Module):
        def forward(self, x):
            return [torch.full((len(x), 1, 4, 4), 1.0), torch.full((len(x), 1, 1, 1), 4.0)]

    made = adversary(SETTINGS, discriminator=Scales(), clip=None)
    shown = made.evaluate_score_map(torch.rand(2, 3, 8, 8), torch.rand(2, 2, 8, 8))
    assert torch.equal(shown, torch.full((2, 1, 8, 8), 2.5))


def test_the_score_map_of_classes_is_the_log_odds_of_being_real(adversary):
    class Classes(nn.Module):
        def forward(self, x):
            return torch.tensor([0.1, 0.3, 0.6]).log().view(1, 3, 1, 1).expand(len(x), 3, 4, 4)

    made = adversary(SETTINGS, discriminator=Classes())
    shown = made.evaluate_score_map(torch.rand(1, 3, 4, 4), torch.rand(1, 2, 4, 4))
    torch.testing.assert_close(shown, torch.full((1, 1, 4, 4), 0.4 / 0.6).log())


def test_a_score_map_draws_nothing_and_keeps_the_discriminators_state(adversary):
    made = adversary(SETTINGS)  # with dropout and batch normalisation
    before, state = torch.random.get_rng_state(), {k: v.clone() for k, v in made.discriminator.state_dict().items()}
    images, logits = torch.rand(1, 3, 8, 8), torch.rand(1, 2, 8, 8)
    torch.random.set_rng_state(before)
    made.evaluate_score_map(images, logits)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in made.discriminator.state_dict().items())


def test_an_update_holds_the_outputs_that_its_loss_comes_from(adversary):
    update = adversary(SETTINGS, discriminator=Patches(), loss=Difference()).discriminator_loss(a_pair(), LABELS, 0)
    assert isinstance(update, DiscriminatorUpdate)
    assert [tuple(scores.shape) for scores in update.fake.scores] == [(1, 1, 2, 2)]
    assert update.fake.features == []


def test_the_log_odds_of_class_scores_are_those_of_their_softmax():
    scores = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    fake = scores.softmax(1)[:, -1:]
    torch.testing.assert_close(log_odds(scores), ((1 - fake) / fake).log())


def test_a_score_weighs_as_much_as_the_share_of_its_cell_that_counts():
    mask = everywhere(4, 4)
    mask[..., :2, :2] = False  # nothing of the first cell counts
    mask[..., 0, 2] = False  # three quarters of the second do
    scores = torch.tensor([[[[100.0, 8.0], [1.0, 2.0]]]])
    assert masked_mean(scores, mask).item() == pytest.approx((0.75 * 8 + 1 + 2) / 2.75)


def test_values_without_a_channel_are_averaged_alike():
    mask = everywhere(2, 2)
    mask[..., 0, 0] = False
    values = torch.tensor([[[9.0, 1.0], [2.0, 3.0]]])
    assert masked_mean(values, mask) == masked_mean(values[:, None], mask) == 2


def test_values_of_several_channels_are_averaged_over_these_too():
    values = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)])[None]
    assert masked_mean(values, everywhere(4, 4)) == 0.5


def test_one_score_for_an_image_counts_by_the_share_of_the_image_that_counts():
    mask = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    mask[1, :, :3] = False
    scores = torch.tensor([2.0, 7.0]).view(2, 1, 1, 1)
    assert masked_mean(scores, mask).item() == pytest.approx((1 * 2 + 0.25 * 7) / 1.25)


def test_a_batch_without_a_pixel_that_counts_has_the_loss_0_and_the_gradient_0():
    scores = torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = masked_mean(scores, torch.zeros(1, 1, 4, 4, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert scores.grad.abs().sum() == 0


def test_a_scalar_is_the_mean_already():
    assert masked_mean(torch.tensor(3.0), everywhere(4, 4)) == 3


def test_a_mean_without_void_is_the_plain_mean():
    values = torch.rand(3, 1, 5, 7)
    torch.testing.assert_close(masked_mean(values, torch.ones(3, 1, 16, 16, dtype=torch.bool)), values.mean())


def test_noise_has_the_norm_of_each_sample_and_another_direction():
    torch.manual_seed(0)
    gradient = torch.rand(3, 2, 16, 16) * torch.tensor([1.0, 10.0, 0.0]).view(3, 1, 1, 1)
    noise = draw_noise_like(gradient)
    torch.testing.assert_close(noise.flatten(1).norm(dim=1), gradient.flatten(1).norm(dim=1))
    cosine = torch.nn.functional.cosine_similarity(noise.flatten(1), gradient.flatten(1))[:2]
    assert cosine.abs().max() < 0.2


def test_shuffling_exchanges_real_and_fake_in_about_half_of_the_samples_and_loses_none():
    torch.manual_seed(0)
    real, fake = torch.ones(400, 1, 1, 1), torch.zeros(400, 1, 1, 1)
    shuffled = shuffle_labels(Pair(None, real, fake, real.bool()))
    assert torch.equal(shuffled.real + shuffled.fake, torch.ones_like(real))
    assert 150 < shuffled.real.sum() < 250


@pytest.mark.parametrize("draw", [draw_noise_like, lambda field: shuffle_labels(Pair(None, field, field, field)).real])
def test_placebos_draw_on_the_device_of_what_they_replace(draw):
    with DevicesUsed() as used:
        draw(torch.empty(3, 2, 4, 4, device="meta"))
    assert used.devices == {"meta"}


class DevicesUsed(TorchDispatchMode):
    """Remembers on which devices tensors are made."""

    def __init__(self):
        super().__init__()
        self.devices = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.devices.add(result.device.type)
        return result


def test_on_a_cpu_placebos_draw_what_they_always_drew():
    gradient = torch.ones(2, 3, 4, 4)
    torch.manual_seed(3)
    noise = draw_noise_like(gradient)
    torch.manual_seed(3)
    drawn = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(noise, drawn / drawn.flatten(1).norm(dim=1).view(2, 1, 1, 1) * 48**0.5)
    torch.manual_seed(3)
    shuffled = shuffle_labels(Pair(None, torch.ones(8, 1, 1, 1), torch.zeros(8, 1, 1, 1), torch.ones(8, 1, 1, 1))).real
    torch.manual_seed(3)
    assert shuffled.flatten().tolist() == (torch.rand(8) >= 0.5).float().tolist()
