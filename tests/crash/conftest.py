import pytest


@pytest.fixture(scope="session")
def write_table():
    """``write_table(folder)`` writes ``table.csv``: 40 alkanes and alcohols with a target ``y``."""

    def write(folder):
        rows = "".join(f"{'C' * (n % 9 + 1)}{'O' * (n % 2)},{n % 9}.5\n" for n in range(40))
        (folder / "table.csv").write_text(f"smiles,y\n{rows}")
        return folder

    return write
