from epoch_gap.workloads.presets import PRESETS


def test_article_is_the_articles_training() -> None:
    article = PRESETS["article"]
    assert (article.batch_size, article.epochs, article.fence) == (128, 20, "none")
    assert (article.steps, article.seconds, article.share) == (None, None, None)
    assert (article.train_limit, article.test_limit) == (None, None)
