import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.viz import plot_parts


def test_picture_shows_each_cloud_twice_and_rings_what_is_wrong(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "pyg_samsa.viz.part_clouds._draw", lambda axes, cloud, colors, edges: drawn.append((len(colors), edges))
    )
    true, predicted = torch.tensor([4, 4, 9]), torch.tensor([4, 9, 9])
    path = plot_parts([torch.rand(3, 3)] * 2, [true, true], [predicted, true], ["mug", "lamp"], tmp_path / "parts.png")
    assert path.is_file()
    assert [count for count, _ in drawn] == [3] * 4
    assert [edges for _, edges in drawn] == [["none"] * 3, ["none", "#111827", "none"], ["none"] * 3, ["none"] * 3]


def test_a_part_has_one_colour_above_and_below(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("pyg_samsa.viz.part_clouds._draw", lambda axes, cloud, colors, edges: drawn.append(colors))
    plot_parts([torch.rand(2, 3)], [torch.tensor([7, 8])], [torch.tensor([8, 8])], ["mug"], tmp_path / "parts.png")
    above, below = drawn
    assert above[1] == below[1] == below[0] != above[0]


def test_bad_input_is_named(tmp_path):
    cloud, parts = torch.rand(3, 3), torch.zeros(3)
    with pytest.raises(ConfigError, match="points"):
        plot_parts([], [], [], [], tmp_path / "parts.png")
    with pytest.raises(ConfigError, match="names"):
        plot_parts([cloud], [parts], [parts], [], tmp_path / "parts.png")
    with pytest.raises(ShapeError, match="parts"):
        plot_parts([cloud], [parts], [parts[:2]], ["mug"], tmp_path / "parts.png")
    with pytest.raises(ConfigError, match="up"):
        plot_parts([cloud], [parts], [parts], ["mug"], tmp_path / "parts.png", up=0)
    with pytest.raises(ConfigError, match="path"):
        plot_parts([cloud], [parts], [parts], ["mug"], tmp_path / "parts.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("up", "height"), [(1, 5.0), (2, 7.0)])
def test_the_upward_coordinate_is_drawn_upwards(up, height, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "pyg_samsa.viz.part_clouds._draw", lambda axes, cloud, colors, edges: drawn.append(cloud[0, 2].item())
    )
    plot_parts(
        [torch.tensor([[3.0, 5.0, 7.0]])],
        [torch.tensor([0])],
        [torch.tensor([0])],
        ["mug"],
        tmp_path / "parts.png",
        up=up,
    )
    assert drawn == [height, height]
