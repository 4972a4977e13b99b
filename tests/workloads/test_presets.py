from epoch_gap.workloads.data_order import DataOrder
from epoch_gap.workloads.presets import PRESETS


def test_the_article_preset_is_the_training_of_the_article() -> None:
    article = PRESETS["article"]
    assert (article.batch_size, article.epochs, article.fence) == (128, 20, "none")
    assert (article.steps, article.seconds, article.share) == (None, None, None)
    assert (article.train_limit, article.test_limit) == (None, None)


def test_the_curve_preset_trains_both_sides_alike_on_whole_batches() -> None:
    curve = PRESETS["curve"]
    assert curve.epochs == 20
    assert curve.train_limit is not None
    assert curve.train_limit % curve.batch_size == 0
    assert (curve.steps, curve.seconds, curve.share, curve.fence) == (None, None, None, "none")
    assert curve.data_order is DataOrder.SHARED
