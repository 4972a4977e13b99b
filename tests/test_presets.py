from workloads.presets import MIN_STEPS, PRESETS, Sample


def test_a_number_of_steps_is_kept() -> None:
    enough = Sample(steps=3, seconds=None)
    assert [enough(n) for n in (1, 2, 3)] == [False, False, True]


def test_all_of_the_epoch_is_never_enough() -> None:
    assert not any(Sample(None, None)(n) for n in (1, 391, 10**6))


def test_a_time_budget_ends_the_epoch_but_not_before_the_least_number_of_steps() -> None:
    now = 0.0
    enough = Sample(steps=1000, seconds=30, clock=lambda: now)
    taken = 0
    for step in range(1, 100):
        now += 20.0
        taken = step
        if enough(step):
            break
    assert taken == MIN_STEPS


def test_the_budget_counts_anew_in_every_epoch() -> None:
    now = 0.0
    enough = Sample(steps=None, seconds=100, clock=lambda: now)
    for _ in range(2):
        steps = 0
        while True:
            now += 10.0
            steps += 1
            if enough(steps):
                break
        assert steps == 11


def test_article_is_the_articles_training() -> None:
    article = PRESETS["article"]
    assert (article.batch_size, article.epochs) == (128, 20)
    assert (article.steps, article.seconds, article.train_limit, article.test_limit) == (None, None, None, None)
