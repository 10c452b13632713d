from functools import partial

import pytest

from pyg_samsa.datasets.points.point_dataset import read_points
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.worker_pool import MOST, count_workers, in_chunks, map_chunks


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    chunks = list(in_chunks(range(50), 4))
    assert [len(chunk) for chunk in chunks] == [4] * 12 + [2]
    assert list(map_chunks(sum, iter(chunks), workers=workers)) == [(chunk, sum(chunk)) for chunk in chunks]


@pytest.mark.parametrize("workers", [1, 2])
def test_only_a_few_lists_are_read_ahead(workers):
    taken = []

    def chunks():
        for number in range(100):
            taken.append(number)
            yield [number]

    results = map_chunks(sum, chunks(), workers=workers)
    for _ in range(3):
        next(results)
    assert len(taken) <= 3 + 3 * workers
    results.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_of_other_processes_keep_their_fields(workers, tmp_path):
    path = tmp_path / "points.txt"
    path.write_text("1 2 3")
    with pytest.raises(DataIntegrityError, match="3 numbers") as caught:
        list(map_chunks(partial(_first, columns=6), [[path]], workers=workers))
    assert caught.value.path == path
    assert caught.value.hint


def _first(paths, columns):
    return read_points(paths[0], columns)


def test_short_lists_stay_in_this_process():
    assert count_workers(8, 9, worthwhile=10) == 1
    assert count_workers(8, 10, worthwhile=10) == 8
    assert count_workers(None, 10, worthwhile=10) >= 1


@pytest.mark.parametrize("workers", [0, -1, True, 1.5])
def test_wrong_numbers_are_named(workers):
    with pytest.raises(ConfigError, match="workers"):
        count_workers(workers, 10, worthwhile=1)


def test_thousands_of_processes_are_refused():
    with pytest.raises(ConfigError, match=f"workers: got 9999, expected an integer from 1 to {MOST}"):
        count_workers(9999, 10, worthwhile=1)
