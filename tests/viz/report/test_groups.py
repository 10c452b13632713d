from pyg_samsa.viz.report.groups import group_runs


def test_groups(record):
    same = [
        record(0, settings={"optim.max_epoch": 3}, volatile=frozenset({"optim.max_epoch"})),
        record(1, settings={"optim.max_epoch": 9}, volatile=frozenset({"optim.max_epoch"})),
    ]
    assert [len(group.runs) for group in group_runs(same)] == [2]
    assert [group.label for group in group_runs([record(0), record(1, settings={"samsa.layers": 5})])] == [
        "exp (1)",
        "exp (2)",
    ]
