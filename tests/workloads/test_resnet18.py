from epoch_gap.workloads import resnet18


def test_the_network_has_as_many_parameters_as_in_the_article() -> None:
    assert resnet18.parameter_count() == 11_173_962


def test_the_network_has_18_layers_with_weights_and_3_shortcuts() -> None:
    convolutions = list(resnet18.convolutions())
    shortcuts = [c for c in convolutions if c.kernel == 1]
    assert len(convolutions) - len(shortcuts) + 1 == 18
    assert [c.name for c in shortcuts] == ["layer2.0.downsample", "layer3.0.downsample", "layer4.0.downsample"]
