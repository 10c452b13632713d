import csv
import io

import pytest

TEXT = "CCO ethanol\nc1ccccc1 benzene\nC( broken\nC methane"


@pytest.fixture
def job(client, predicted):
    return predicted(client, TEXT, interval=0.9)


@pytest.fixture
def get(client, job):
    """Gets something of the table: ``get("rows", sort="c0")``."""
    return lambda path, **options: client.get(f"/api/jobs/{job['id']}/{path}", params=options)


def test_rows_are_sorted_filtered_and_cut_into_pages(get):
    found = get("rows", sort="c0", descending=True, limit=2).json()
    assert (found["count"], [row["name"] for row in found["rows"]]) == (4, ["benzene", "ethanol"])
    assert [row["name"] for row in get("rows", sort="c0", offset=2).json()["rows"]] == ["benzene", "broken"]
    assert get("rows", search="ETH").json()["count"] == 2
    assert [row["error"] for row in get("rows", show="failed").json()["rows"]] == [
        "RDKit cannot read this SMILES (the bracket ( is not closed)"
    ]
    assert [row["name"] for row in get("rows", column="c0", low=2, high=4).json()["rows"]] == ["ethanol"]


@pytest.mark.parametrize(
    "options", [{"sort": "smiles; --"}, {"column": "x", "low": 1}, {"limit": 501}, {"offset": -1}, {"low": "nan"}]
)
def test_wrong_queries_are_one_line(get, options):
    answer = get("rows", **options)
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "hint"}


def test_downloads_have_the_rows_of_the_query(get):
    answer = get("download", format="csv", sort="c0", show="predicted")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="4-pasted-molecules-predictions.csv"'
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header[:5] == ["smiles", "name", "atoms: atoms_pred", "atoms: atoms_low", "atoms: atoms_high"]
    assert [row[1:3] for row in rows] == [["methane", "1"], ["ethanol", "3"], ["benzene", "6"]]
    assert get("download", format="sdf").text.count("$$$$") == 4
    assert get("download", sort="nope").status_code == 422


def test_excel_files_are_downloaded(get):
    openpyxl = pytest.importorskip("openpyxl")
    answer = get("download", format="xlsx", sort="c0", show="predicted")
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"] == 'attachment; filename="4-pasted-molecules-predictions.xlsx"'
    header, *rows = openpyxl.load_workbook(io.BytesIO(answer.content)).active.values
    assert header[:3] == ("smiles", "name", "atoms: atoms_pred")
    assert [row[1:3] for row in rows] == [("methane", 1), ("ethanol", 3), ("benzene", 6)]
    assert get("download", format="xlsx", sort="nope").json()["error"].startswith("sort: got 'nope'")


def test_rows_with_the_same_molecule_are_marked(client, predicted):
    job = predicted(client, "CCO a\nC b\nOCC c\nC( d\nC( e", models=["atoms"])
    found = client.get(f"/api/jobs/{job['id']}/rows").json()["rows"]
    assert [row["same_as"] for row in found] == [3, None, 1, None, None]
    asked = {"show": "repeated", "format": "csv"}
    assert client.get(f"/api/jobs/{job['id']}/rows", params=asked).json()["count"] == 2
    header, *rows = csv.reader(io.StringIO(client.get(f"/api/jobs/{job['id']}/download", params=asked).text))
    assert [row[header.index("same_molecule")] for row in rows] == ["same molecule as row 3", "same molecule as row 1"]


def test_names_of_files_hold_no_signs_of_headers(client, predicted):
    job = predicted(client, 'C a"b\\c;filename=x/../y\u202e')
    answer = client.get(f"/api/jobs/{job['id']}/rows/1/picture", params={"model": "atoms", "format": "svg"})
    assert answer.headers["content-disposition"] == 'attachment; filename="a-b-c-filename-x-..-y.svg"'


def test_pictures(get):
    structure = get("rows/1/structure.svg", theme="dark")
    assert structure.headers["content-type"] == "image/svg+xml"
    assert structure.text.startswith("<svg")
    png = get("rows/1/picture", model="peptides", target="anticancer", method="sampled")
    assert png.content.startswith(b"\x89PNG")
    assert get("rows/1/picture", model="peptides", method="magic").status_code == 422
    assert get("rows/3/structure.svg").status_code == 422
    assert get("rows/9/structure.svg").status_code == 404


def test_a_molecule_is_explained(get):
    found = get("rows/1/explanation", model="peptides").json()
    assert found["target"] in ("antimicrobial", "anticancer", "transmembrane")
    assert list(found["methods"]) == ["sampled", "contribution", "occlusion"]
    assert 'class="layer sampled"' in found["svg"]
    assert get("rows/1/explanation", model="nope").status_code == 422
    assert get("rows/3/explanation", model="peptides").status_code == 422


def test_the_nearest_training_molecules(get):
    first = get("rows/1/neighbors", model="atoms", count=1).json()
    assert first == [{"smiles": "CCO", "similarity": 1.0, "measured": {"atoms": "3.25"}}]
    assert get("rows/1/neighbors", model="peptides").json() == []


def test_any_molecule_is_drawn(client):
    assert client.get("/api/structure.svg", params={"smiles": "CCO"}).text.startswith("<svg")
    assert client.get("/api/structure.svg", params={"smiles": "C("}).status_code == 422
    assert client.get("/api/structure.svg", params={"smiles": "C" * 61}).status_code == 422


def test_texts_that_are_too_long_are_neither_drawn_nor_compared(client, predicted):
    rings = "C1" + "CC1CC1" * 5_000  # minutes for RDKit
    job = predicted(client, rings)
    for end in ("structure.svg", "explanation?model=atoms", "neighbors?model=atoms", "picture?model=atoms"):
        answer = client.get(f"/api/jobs/{job['id']}/rows/1/{end}")
        assert (answer.status_code, answer.json()["error"][:44]) == (
            422,
            "row 1: 30,002 characters, more than 600: 'C1",
        )
    assert client.get(f"/api/jobs/{job['id']}/download?format=sdf").text.count("$$$$") == 1


def test_a_table_that_is_being_predicted_is_not_downloaded(open_client, counter, finish):
    client = open_client([counter(pause=0.1)])
    job = client.post("/api/jobs", json={"text": "C\n" * 1500, "neighbors": False}).json()
    for kind in ("csv", "xlsx", "sdf"):
        answer = client.get(f"/api/jobs/{job['id']}/download?format={kind}")
        assert answer.status_code == 409
        assert answer.json()["error"].startswith("the table is still being predicted: ")
        assert f"GET /api/jobs/{job['id']} says when it ends" in answer.json()["hint"]
    client.post(f"/api/jobs/{job['id']}/cancel")
    assert finish(client, job)["state"] == "cancelled"
    answer = client.get(f"/api/jobs/{job['id']}/download")  # the rows that were finished before
    rows = client.get(f"/api/jobs/{job['id']}").json()["rows"]
    assert (answer.status_code, answer.text.count("\n") - 1) == (200, rows)
    paths = client.get("/api/openapi.json").json()["paths"]
    assert "409" in paths["/api/jobs/{job}/download"]["get"]["responses"]
