from epoch_gap.workloads.presets import PRESETS


def test_the_article_preset_is_the_training_of_the_article() -> None:
    article = PRESETS["article"]
    assert (article.batch_size, article.epochs, article.fence) == (128, 20, "none")
    assert (article.steps, article.seconds, article.share) == (None, None, None)
    assert (article.train_limit, article.test_limit) == (None, None)
