import re


def test_experiments_stand_side_by_side(page, frame, record):
    first = [record(seed, "small", frame("labels")) for seed in (0, 1)]
    second = record(0, "large", frame("labels"), test={"ap": 0.9, "loss": 0.1}, settings={"samsa.layers": 8})
    text, _ = page(*first, second)
    row = re.search(r'<th>samsa\.layers</th><td class="differs">2</td><td class="differs">8</td>', text)
    assert row is not None
    assert "<th>dataset.name</th><td>d</td><td>d</td>" in text
    assert re.search(r'<td class="best"><b>0\.9000</b>', text)
    other = record(0, "other", frame("values"), test={"mae": 1.0}, settings={"dataset.name": "e"})
    text, _ = page(*first, other)
    assert "different data" in text
    assert 'class="best"' not in text
