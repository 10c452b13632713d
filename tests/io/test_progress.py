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


def test_a_long_text_does_not_cut_off_the_counts(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with progress_bar("Molecules of " + "a_very_long_name_of_a_file_" * 4 + ".csv", 123456) as advance:
        advance(123456)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Molecules of a_very_long" in last
    assert "123456/123456" in last
    assert len(last) <= 80
