from pyg_samsa.io.progress import progress_bar


def test_counts_to_the_end_on_the_error_stream(capsys):
    with progress_bar("Molecules", 3) as advance:
        advance(3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Molecules" in captured.err
    assert "3/3" in captured.err


def test_disabled_prints_nothing(capsys):
    with progress_bar("Molecules", 3, enabled=False) as advance:
        advance(3)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
