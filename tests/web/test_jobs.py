import time

import pytest

from pyg_samsa.errors import DataError
from pyg_samsa.web.jobs import CANCELLED, DONE, FAILED, STOPPED, BusyError, Jobs
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.predicted_table import CHUNK_ROWS, Asked
from pyg_samsa.web.uploads import Upload, save_text


@pytest.fixture
def jobs(limits):
    found = Jobs(limits)
    yield found
    found.close()


def save(text, limits=None):
    return lambda folder: save_text(text, folder, limits or Limits())


def wait(job, until=lambda job: job.ended_by_itself):
    for _ in range(1000):
        if until(job):
            return job
        time.sleep(0.01)
    raise AssertionError(job)


def test_a_table_is_predicted_in_the_background(jobs, counter):
    job = wait(jobs.start([counter()], save("CCO\nC(\nC"), Asked()))
    assert (job.state, job.rows, job.errors, job.total, job.message) == (DONE, 3, 1, 3, "")
    assert jobs.get(job.id) is job
    assert job.results.row(1).cells[0] == "3"


def test_cancel_keeps_the_finished_rows(jobs, counter):
    job = jobs.start([counter(pause=0.05)], save("CCO\n" * (8 * CHUNK_ROWS)), Asked(neighbors=False))
    wait(job, lambda job: job.rows > 0)
    job.cancelled.set()
    wait(job)
    assert job.state == CANCELLED
    assert 0 < job.rows < 8 * CHUNK_ROWS
    assert job.results.row(job.rows) is not None
    assert job.message == f"cancelled after {job.rows:,} rows"


def test_a_waiting_table_can_be_cancelled(jobs, counter):
    running = [jobs.start([counter(pause=0.05)], save("C\n" * 1500), Asked(neighbors=False)) for _ in range(2)]
    waiting = jobs.start([counter()], save("C\n" * 600), Asked(neighbors=False))
    for job in (waiting, *running):
        job.cancelled.set()
    assert wait(waiting).state == CANCELLED
    assert waiting.rows <= CHUNK_ROWS


def test_rows_beyond_the_limit_are_left_out_and_told(counter):
    jobs = Jobs(Limits(max_rows=300))
    try:
        job = wait(jobs.start([counter()], save("C\n" * 400), Asked(neighbors=False)))
        assert (job.state, job.rows) == (STOPPED, 300)
        assert "more than 300 rows" in job.message
        assert "--max-rows" in job.hint
    finally:
        jobs.close()


def test_the_time_limit_keeps_the_finished_rows(jobs, counter, monkeypatch):
    from pyg_samsa.web.jobs import Job

    monkeypatch.setattr(Job, "seconds", property(lambda job: 61.0))
    job = wait(jobs.start([counter()], save("C\n" * 400), Asked(neighbors=False)))
    assert (job.state, job.rows) == (STOPPED, CHUNK_ROWS)
    assert "--max-minutes" in job.hint


def test_what_is_wrong_with_a_table_is_told_at_once_and_leaves_nothing(jobs, counter):
    def no_molecules(folder):
        (folder / "table.csv").write_text("a,b\n1,2\n")
        return Upload(folder / "table.csv", "csv", "table.csv")

    with pytest.raises(DataError, match=r"No column of SMILES was found\. The columns are 'a', 'b'"):
        jobs.start([counter()], no_molecules, Asked())
    with pytest.raises(DataError, match="no molecule"):
        jobs.start([counter()], save(" "), Asked())
    assert jobs.all() == []
    assert list(jobs.folder.iterdir()) == []


def test_a_damaged_file_fails_with_its_line_and_keeps_earlier_rows(jobs, counter):
    def damaged(folder):
        import gzip

        content = gzip.compress(b"smiles\n" + b"CCO\n" * 8_000)
        path = folder / "table.csv.gz"
        path.write_bytes(content[: len(content) // 2])
        return Upload(path, "csv.gz", "table.csv.gz")

    limits = Limits(max_rows=100_000)
    bigger = Jobs(limits)
    try:
        job = wait(bigger.start([counter()], damaged, Asked(neighbors=False)))
        assert job.state == FAILED
        assert "cannot be unpacked" in job.message
        assert job.total is None
    finally:
        bigger.close()


def test_a_bug_does_not_leave_the_page_waiting(jobs, counter, monkeypatch, caplog):
    model = counter()
    monkeypatch.setattr(model.predictor, "outputs", lambda inputs, draws=None: 1 / 0)
    job = wait(jobs.start([model], save("C"), Asked()))
    assert (job.state, job.message.split(":")[0]) == (FAILED, "ZeroDivisionError")
    assert "the prediction of '1 pasted molecule' failed" in caplog.text
    assert job.hint


def test_the_oldest_finished_table_gives_way(jobs, counter):
    kept = [wait(jobs.start([counter()], save("C"), Asked())) for _ in range(5)]
    assert jobs.get(kept[0].id) is None
    assert not kept[0].folder.exists()
    assert [job.id for job in jobs.all()] == [job.id for job in kept[1:]]


def test_a_full_server_says_so(counter):
    jobs = Jobs(Limits(max_tables=1))
    try:
        jobs.start([counter(pause=0.2)], save("C\n" * 600), Asked())
        with pytest.raises(BusyError, match="1 tables are being predicted"):
            jobs.start([counter()], save("C"), Asked())
    finally:
        jobs.close()


def test_removed_tables_and_the_closed_server_leave_no_files(counter, limits):
    jobs = Jobs(limits)
    job = jobs.start([counter(pause=0.05)], save("C\n" * 1500), Asked(neighbors=False))
    assert jobs.remove(job.id)
    assert not jobs.remove(job.id)
    wait(job)
    for _ in range(200):
        if not job.folder.exists():
            break
        time.sleep(0.01)
    assert not job.folder.exists()
    jobs.start([counter(pause=0.05)], save("C\n" * 1500), Asked(neighbors=False))
    jobs.close()
    assert not jobs.folder.exists()
