from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segbench.errors import RecordError, StatisticsError
from segbench.report import load
from segbench.report.comparison.compare import compare_methods
from segbench.report.comparison.family import Settings
from segbench.report.comparison.text import as_text
from segbench.stats.scores import miou, per_class, scores
from segbench.store.counts import COUNTS, Counts, write_counts
from segbench.store.folder import ResultsFolder
from segbench.store.record import Evaluated, Inference, Latency, Timing, Train

IMAGES = 12
CLASSES = ["sky", "road", "pole"]
QUICK = Settings(resamples=400)
SEEDS = range(3)


def counted(right, rare_right=8, band_wrong=(), seed=0):
    """Return counts of images of 100 sky, 90 road and 10 pole pixels, of which 40 sky ones lie in the boundary band.

    `right` road pixels of each image are right, the others are called sky. So many of the poles are right, the others
    are called road. `band_wrong` are the images of which the sky pixels in the band are called road.
    """
    jitter = np.random.default_rng(seed).integers(3, size=IMAGES)
    confusion = np.zeros((IMAGES, 3, 3), dtype=np.int64)
    confusion[:, 0, 0] = 100
    confusion[:, 1, 1] = right - jitter
    confusion[:, 1, 0] = 90 - confusion[:, 1, 1]
    confusion[:, 2, 2], confusion[:, 2, 1] = rare_right, 10 - rare_right
    band = np.zeros_like(confusion)
    band[:, 0, 0] = 40
    for image in band_wrong:
        for part in (confusion, band):
            part[image, 0, 0], part[image, 0, 1] = part[image, 0, 0] - 40, 40
    ids = tuple(f"image {i:02}" for i in range(IMAGES))
    sizes, void = np.tile([10, 20], (IMAGES, 1)), np.zeros(IMAGES, dtype=np.int64)
    return Counts(ids, "test", confusion, sizes=sizes, void=void, band=band, small=np.zeros_like(confusion))


@pytest.fixture
def store(tmp_path):
    """Write the record of a cell with its counts into results/."""

    def write(record, counts, **fields):
        found = {
            "scores": scores(counts),
            "per_class": per_class(counts),
            "evaluated": Evaluated(split=counts.split, images=len(counts.ids), classes=CLASSES),
            **fields,
        }
        folder = ResultsFolder(tmp_path / "results", record.benchmark)
        folder.write(record.model_copy(update=found))
        folder.cell_folder(record.key).mkdir(exist_ok=True)
        write_counts(folder.cell_folder(record.key), counts)
        return folder.cell_folder(record.key)

    return write


@pytest.fixture
def compared(tmp_path):
    """Compare two methods of results/ with few resamples; the one comparison there is."""

    def compare(one="unet+critic", other="unet", settings=QUICK, **choices):
        (found,) = compare_methods([tmp_path / "results"], (one, other), settings=settings, **choices).found
        return found

    return compare


@pytest.fixture
def refusal(tmp_path):
    def refused(one="unet+critic", other="unet", **choices):
        with pytest.raises((RecordError, StatisticsError)) as caught:
            compare_methods([tmp_path / "results"], (one, other), settings=QUICK, **choices)
        return str(caught.value)

    return refused


@pytest.fixture
def two_methods(store, trained, adversarial):
    """A critic that finds 6 road pixels an image more than its twin, with each of three seeds."""
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, seed=seed))
        store(adversarial(seed=seed), counted(76, seed=seed + 3))


def road_miou(right, rare=8):
    """Work out mIoU where so many of 90 road pixels an image are right on average, and 8 of 10 poles."""
    sky, road, pole = 100 / (190 - right), right / (90 + 10 - rare), rare / 10
    return (sky + road + pole) / 3


def test_the_difference_is_that_of_the_scores_seed_by_seed(two_methods, compared):
    found = compared()
    expected = {
        seed: miou(counted(76, seed=seed + 3).confusion.sum(axis=0))
        - miou(counted(70, seed=seed).confusion.sum(axis=0))
        for seed in SEEDS
    }
    assert found.claim.difference.by_seed == pytest.approx(expected)
    assert found.claim.difference.estimate == pytest.approx(np.mean([*expected.values()]))
    assert found.summaries[0].mean - found.summaries[1].mean == pytest.approx(found.claim.difference.estimate)
    assert found.claim.judgement.verdict == "better"
    assert found.seeds == (0, 1, 2)


def test_compare_and_report_say_the_same_of_a_family_of_one(two_methods, compared, tmp_path):
    (group,) = load([tmp_path / "results"]).groups
    (reported,) = group.comparisons
    claim = compared(settings=Settings()).claim
    assert claim.judgement == reported.judgement
    assert claim.interval == reported.interval


def test_no_interval_is_wider_than_a_difference_can_be(store, trained, adversarial, compared):
    for seed, (right, other) in enumerate([(20, 89), (89, 20)]):
        store(trained(seed=seed), counted(right, seed=seed))
        store(adversarial(seed=seed), counted(other, seed=seed))
    assert compared().claim.interval == (-1.0, 1.0)


def test_the_same_records_give_the_same_text(two_methods, tmp_path):
    first, second = (
        as_text(compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK)) for _ in range(2)
    )
    assert first == second
    assert max(map(len, first.splitlines()[:-1])) <= 100
    told = " ".join(first.split())
    assert "unet is the twin of unet+critic: the same without the claimed part. Both were trained for equal" in told
    assert "Scores: miou/union@1" in told
    assert "400 resamples" in told


def test_one_against_the_other_is_the_other_way_round_with_the_opposite_sign(two_methods, compared):
    there, back = compared(), compared("unet", "unet+critic")
    assert back.claim.difference.estimate == pytest.approx(-there.claim.difference.estimate)
    assert back.claim.judgement.verdict == "worse"
    assert back.relation.startswith("unet is the twin of unet+critic")


def test_a_gain_in_the_band_alone_is_laid_to_the_band(store, trained, adversarial, compared):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, band_wrong=range(seed, IMAGES), seed=seed))
        store(adversarial(seed=seed), counted(70, seed=seed))
    parts = {part.name: part for part in compared().gains.parts}
    assert parts["band"].adds.estimate == pytest.approx(compared().claim.difference.estimate)
    assert parts["interior"].adds.estimate == 0
    assert parts["band"].pixels == pytest.approx(40 / 200)
    assert parts["interior"].within.estimate == 0


def test_a_gain_on_the_rare_class_is_laid_to_it(store, trained, adversarial, compared):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, rare_right=2, seed=seed))
        store(adversarial(seed=seed), counted(70, rare_right=8, seed=seed))
    found = compared()
    parts = {part.name: part for part in found.gains.parts}
    assert found.gains.rare == ("pole",)
    assert parts["rare"].within.estimate == pytest.approx(0.6)
    assert parts["rare"].adds.estimate == pytest.approx(0.2)
    assert parts["rare"].adds.estimate + parts["frequent"].adds.estimate == pytest.approx(
        found.claim.difference.estimate
    )
    assert [one.name for one in found.gains.classes] == CLASSES
    assert found.gains.classes[2].difference.estimate == pytest.approx(0.6)


def test_a_gain_in_one_image_is_named_with_its_size(store, trained, adversarial, compared):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, band_wrong=[4], seed=seed))
        store(adversarial(seed=seed), counted(70, seed=seed))
    images = compared().gains.images
    assert [gain.image for gain in images.gained] == ["image 04"]
    assert (images.better, images.worse, images.images, images.lost) == (1, 0, IMAGES, ())


def test_parts_that_hold_nothing_or_were_not_counted_are_told(store, trained, adversarial, compared):
    for record, right in ((trained(), 70), (adversarial(), 76)):
        store(record, replace(counted(right), band=None))
    found = compared()
    assert [part.name for part in found.gains.parts] == ["rare", "frequent"]
    assert "part 'band' was not counted" in found.gains.missing["band"]
    assert "hold anything to be scored" in found.gains.missing["small"]


def test_one_seed_is_never_decided_and_says_so(store, trained, adversarial, compared, tmp_path):
    store(trained(), counted(50))
    store(adversarial(), counted(80))
    found = compared()
    assert found.claim.judgement.verdict == "undecided"
    text = as_text(compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK))
    assert "there is only one seed in common" in text
    assert "covers the images only" in " ".join(text.split())


def test_equal_methods_are_equivalent(store, trained, adversarial, compared):
    for seed in SEEDS:
        store(trained(seed=seed), counted(70, seed=seed))
        store(adversarial(seed=seed), counted(70, seed=seed))
    found = compared()
    assert found.claim.judgement.verdict == "equivalent"
    assert found.gains.images.gained == found.gains.images.lost == ()


def test_what_is_left_over_a_placebo_and_what_it_gains_make_up_the_whole(
    two_methods, store, adversarial, compared, tmp_path
):
    for seed in SEEDS:
        placebo = adversarial("unet+critic~frozen", seed=seed, recipe={"placebo_of": "unet+critic"})
        store(placebo, counted(72, seed=seed + 6))
    found = compared()
    assert [contrast.relation for contrast in found.contrasts] == ["claim", "placebo's gain", "placebo"]
    ((placebo, left),) = found.triplets
    assert (placebo.row.method, placebo.other.method) == ("unet+critic~frozen", "unet")
    whole = placebo.difference.estimate + left.difference.estimate
    assert whole == pytest.approx(found.claim.difference.estimate)
    assert found.claim.judgement.level > 0.95
    text = " ".join(as_text(compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK)).split())
    assert f"remain over the placebo unet+critic~frozen ({left.judgement.verdict})." in text


def test_a_placebo_with_fewer_seeds_leaves_the_claim_all_of_its_own(two_methods, store, adversarial, compared):
    store(adversarial("unet+critic~noise", seed=1, recipe={"placebo_of": "unet+critic"}), counted(72))
    found = compared()
    assert found.claim.difference.seeds == 3
    assert [contrast.difference.seeds for contrast in found.contrasts[1:]] == [1, 1]


def test_a_placebo_without_a_common_seed_is_told(two_methods, store, adversarial, compared):
    store(adversarial("unet+critic~noise", seed=9, recipe={"placebo_of": "unet+critic"}), counted(72))
    found = compared()
    assert len(found.contrasts) == 1
    assert any(note.startswith("unet+critic~noise is not compared: no seed in common") for note in found.notes)


def test_the_twin_of_equal_seconds_stands_beside_that_of_equal_steps(two_methods, store, trained, compared):
    longer = Train(steps=13_000, seconds=1218.6, images_per_second=95.2)
    for seed in SEEDS:
        like = {"protocol": {"budget": {"like": "unet+critic", "in": "seconds"}}, "overrides": ("budget",)}
        store(
            trained("unet-long", seed=seed, recipe={"twin": "unet"}, **like), counted(73, seed=seed + 9), train=longer
        )
    found = compared()
    assert [(one.relation, one.other.method, one.terms) for one in found.contrasts] == [
        ("claim", "unet", "equal steps"),
        ("opponent", "unet-long", "equal seconds"),
    ]
    assert found.contrasts[1].difference.estimate < found.claim.difference.estimate
    back = compared(other="unet-long")
    assert back.relation == "unet-long was trained for as many seconds as unet+critic took."
    assert [(one.other.method, one.terms) for one in back.contrasts] == [
        ("unet-long", "equal seconds"),
        ("unet", "equal steps"),
    ]
    assert any("overrides the benchmark's protocol: budget" in note for note in back.notes)


def test_images_of_a_sequence_are_drawn_together_and_it_is_said(store, trained, adversarial, compared, tmp_path):
    sequences = tuple(f"sequence {i % 4}" for i in range(IMAGES))
    for seed in SEEDS:
        store(trained(seed=seed), replace(counted(70, seed=seed), clusters=sequences))
        store(adversarial(seed=seed), replace(counted(76, seed=seed + 3), clusters=sequences))
    assert compared().clusters == 4
    text = as_text(compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK))
    assert "12 images in 4 groups (such as sequences) that are drawn as a whole" in " ".join(text.split())


def test_label_maps_made_elsewhere_are_compared_over_images_and_have_no_cost(two_methods, store, scored, compared):
    store(scored("theirs"), counted(74))
    found = compared(other="theirs")
    assert found.claim.judgement.verdict == "undecided"
    assert (found.claim.terms, found.cost.seconds_ratio, found.cost.timed) == ("unknown", None, False)
    assert any("label maps made elsewhere" in note for note in found.notes)


def test_a_reader_of_the_twin_first_is_shown_the_way_to_the_placebos(two_methods, store, adversarial, compared):
    store(adversarial("unet+critic~noise", recipe={"placebo_of": "unet+critic"}), counted(72))
    assert compared("unet", "unet+critic").notes[-1].endswith("see `segbench compare unet+critic unet`")


def test_cost_is_that_of_the_common_seeds(two_methods, compared):
    cost = compared().cost
    assert cost.seconds_ratio == pytest.approx(1218.6 / 812.4)
    assert cost.parameters_ratio == 1
    assert cost.timed
    assert cost.speeds == ()


def test_methods_timed_in_one_session_have_a_ratio(store, trained, adversarial, compared):
    def timed(blocks):
        row = Inference(
            stage="forward",
            batch=1,
            size=(360, 480),
            images_per_second=blocks[0],
            latency_ms=Latency(p50=1.0, p95=1.0, n=200),
            budget="full",
            blocks=blocks,
        )
        return {"inference": [row], "timing": Timing(session="s", rivals=["unet"], threads=1, steady=True)}

    store(trained(), counted(70), **timed([200.0, 210.0, 190.0]))
    store(adversarial(), counted(70), **timed([100.0, 105.0, 95.0]))
    (speed,) = compared().cost.speeds
    assert (speed.stage, speed.batch) == ("forward", 1)
    assert speed.ratio.estimate == pytest.approx(0.5)


def test_seeds_without_a_partner_and_failed_ones_are_named(two_methods, store, trained, failed, results, compared):
    store(trained(seed=7), counted(70))
    results(failed("unet+critic", seed=4))
    notes = compared().notes
    assert "unet, seed 7 ignored: unet+critic has no result for this seed" in notes
    assert "unet+critic, seed 4 failed: the loss is NaN at step 17 (plugin losses)" in notes


def test_a_record_with_damaged_counts_is_set_aside_and_the_rest_goes_on(two_methods, store, trained, compared):
    folder = store(trained(seed=1), counted(70))
    (folder / COUNTS).write_bytes(b"no parquet")
    found = compared()
    assert found.seeds == (0, 2)
    (line,) = found.ignored
    assert line.startswith("unet, seed 1: cannot read the counts in")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(counted(70), void=np.ones(IMAGES, dtype=np.int64)), "do not add up to its size"),
        (counted(60), "its counts belong to something else (mIoU"),
        (replace(counted(70, seed=1), split="val"), "split test in the record and val in the counts"),
    ],
)
def test_counts_that_do_not_add_up_or_are_of_something_else_are_set_aside(
    two_methods, store, trained, compared, wrong, message
):
    folder = store(trained(seed=1), counted(70, seed=1))
    write_counts(folder, wrong)
    assert message in compared().ignored[0]


def test_with_nothing_left_it_is_an_error(store, trained, adversarial, refusal):
    folder = store(trained(), counted(70))
    store(adversarial(), counted(70))
    (folder / COUNTS).unlink()
    assert "nothing of 'unet' is left to compare (unet, seed 0: no counts at" in refusal()


def test_an_unknown_method_is_told_with_the_nearest(two_methods, refusal):
    assert "no record of a method 'unet+critik'" in refusal("unet+critik")
    assert "Did you mean 'unet+critic'?" in refusal("unet+critik")


def test_a_method_is_not_compared_with_itself(two_methods, refusal):
    assert "cannot be compared with itself" in refusal("unet", "unet")


def test_a_failed_twin_says_why_it_failed(store, adversarial, failed, results, refusal):
    store(adversarial(), counted(70))
    results(failed("unet", seed=0), failed("unet", seed=1))
    assert (
        "'unet' has no result (seeds 0, 1 failed: the loss is NaN at step 17 (plugin losses)); "
        "remove the cause and run the benchmark again"
    ) in refusal()


def test_a_method_whose_cells_only_serve_others_is_in_no_ranking(store, trained, adversarial, refusal):
    store(trained(subset="fold 1/5"), counted(70))
    store(adversarial(), counted(70))
    assert "only serve other methods" in refusal()


def test_no_common_seed_is_an_error_with_the_seeds_of_both(store, trained, adversarial, refusal):
    store(trained(seed=0), counted(70))
    store(adversarial(seed=1), counted(70))
    assert "no seed in common (unet+critic: 1; unet: 0)" in refusal()


def test_a_method_that_makes_images_has_nothing_to_compare(store, trained, generating, results, refusal):
    store(trained(), counted(70))
    results(generating("dcgan"))
    assert "'dcgan' makes images, not label maps" in refusal("dcgan", "unet")


def test_two_recipes_of_one_name_are_not_averaged(two_methods, store, trained, refusal):
    store(trained(seed=5, options={"encoder": "resnet50"}), counted(70))
    assert "'unet' is the name of 2 rows of one ranking" in refusal()
    assert "generator.options.encoder=resnet50" in refusal()


def test_other_labels_of_the_same_images_are_refused(store, trained, adversarial, refusal):
    counts = counted(70)
    confusion = counts.confusion.copy()
    confusion[3, 0, 0], confusion[3, 1, 1] = 101, confusion[3, 1, 1] - 1
    store(trained(), counts)
    store(adversarial(), replace(counts, confusion=confusion))
    assert "scored with different labels (image 'image 03'" in refusal()


def test_what_is_asked_for_and_is_not_there_is_told(two_methods, refusal):
    assert "no record of dataset 'camvit'; there are: 'camvid'. Did you mean 'camvid'?" in refusal(dataset="camvit")
    assert "no record of subset 'labels 0.5'; there are: 'all'" in refusal(subset="labels 0.5")


def test_each_ranking_in_which_both_stand_is_compared_in_turn(two_methods, store, trained, adversarial, tmp_path):
    choices = {"subset": "labels 0.125", "recipe": {"labels": (0.125,)}}
    store(trained(**choices), counted(40))
    store(adversarial(**choices), counted(45))
    found = compare_methods([tmp_path / "results"], ("unet+critic", "unet"), settings=QUICK).found
    assert [one.ranking.group.data.subset for one in found] == ["all", "labels 0.125"]
    only = compare_methods([tmp_path / "results"], ("unet+critic", "unet"), subset="labels 0.125", settings=QUICK).found
    assert [one.seeds for one in only] == [(0,)]
