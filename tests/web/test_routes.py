import io

import pytest

from pyg_samsa.web.limits import Limits


def test_info_describes_models_and_limits(client):
    found = client.get("/api/info").json()
    atoms, peptides = found["models"]
    assert (atoms["name"], atoms["kind"], atoms["targets"], atoms["training_molecules"]) == (
        "atoms",
        "regression",
        ["atoms"],
        3,
    )
    assert (peptides["training_molecules"], peptides["without_training"]) == (None, "no run")
    assert found["limits"]["max_rows"] == 2000


def test_a_few_molecules_are_predicted_at_once(client):
    asked = {"smiles": ["CCO", "C("], "models": ["atoms"], "interval": 0.9, "neighbors": 2}
    first, second = client.post("/api/predict", json=asked).json()
    assert first == {
        "model": "atoms",
        "smiles": "CCO",
        "values": {"atoms": 3.0},
        "low": {"atoms": 2.5},
        "high": {"atoms": 3.5},
        "sets": None,
        "standardized": "",
        "error": "",
        "note": "",
        "neighbors": [
            {"smiles": "CCO", "similarity": 1.0, "measured": {"atoms": "3.25"}},
            first["neighbors"][1],
        ],
    }
    assert (second["values"], second["error"], second["neighbors"]) == (
        {},
        "RDKit cannot read this SMILES (the bracket ( is not closed)",
        [],
    )


def test_a_model_without_intervals_predicts_beside_one_that_has_them(client):
    asked = {"smiles": ["CCO"], "interval": 0.9}
    found = {one["model"]: one for one in client.post("/api/predict", json=asked).json()}
    assert (found["atoms"]["low"], found["atoms"]["note"]) == ({"atoms": 2.5}, "")
    assert found["peptides"]["values"].keys() == {"antimicrobial", "anticancer", "transmembrane"}
    assert found["peptides"]["low"] is None
    assert found["peptides"]["note"].startswith("The model peptides gives no uncertainty ranges: it was saved without")


def test_extra_columns_are_passed_on(open_client, counter):
    client = open_client([counter(extra_columns=["pH"])])
    asked = {"smiles": ["CCO", "C"], "extra_columns": {"pH": [1.5, 2]}}
    assert [one["values"] for one in client.post("/api/predict", json=asked).json()] == [{"atoms": 4.5}, {"atoms": 3.0}]
    missing = client.post("/api/predict", json={"smiles": ["CCO"]})
    assert missing.status_code == 422
    assert "'pH'" in missing.json()["error"]
    job = client.post("/api/jobs", json={"text": "CCO", "extra_columns": {"pH": 2.5}})
    assert job.status_code == 201


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"smiles": []}, "smiles"),
        ({"smiles": ["C"], "models": ["nope"]}, "models: got 'nope'"),
        ({"smiles": ["C"], "interval": 1.0}, "interval"),
        ({"smiles": ["C"], "colour": "red"}, "colour"),
        ({"smiles": ["C"] * 1001}, "smiles"),
    ],
)
def test_wrong_requests_are_one_line(client, asked, told):
    answer = client.post("/api/predict", json=asked)
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "hint"}
    assert told in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert answer.json()["hint"]


def test_rows_that_are_no_molecules_leave_the_others_alone(client):
    asked = {"smiles": ["CCO", None, "C" * 601, "", "C(", "C"], "models": ["atoms"], "neighbors": 1}
    answer = client.post("/api/predict", json=asked)
    assert answer.status_code == 200
    found = answer.json()
    assert [one["error"] for one in found] == [
        "",
        "no SMILES (null)",
        "601 characters, more than 600",
        "empty SMILES",
        "RDKit cannot read this SMILES (the bracket ( is not closed)",
        "",
    ]
    assert [one["values"] for one in found] == [{"atoms": 3.0}, {}, {}, {}, {}, {"atoms": 1.0}]
    assert [one["smiles"] for one in found] == ["CCO", None, "C" * 80 + "...", "", "C(", "C"]
    assert [len(one["neighbors"]) for one in found] == [1, 0, 0, 0, 0, 1]


def test_the_longest_text_follows_from_the_limits(open_client, counter):
    client = open_client([counter()], limits=Limits(max_atoms=2))
    found = client.post("/api/predict", json={"smiles": ["C" * 21, "[12CH2:1]=[12CH2:2]"]}).json()
    assert [one["error"] for one in found] == ["21 characters, more than 20", ""]


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b'{"smiles": ["CCO",}', 422, "the body is not JSON: expecting value at line 1, column 19"),
        (b'{\n "smiles": [\n', 422, "the body is not JSON: expecting value at line 3, column 1"),
        (b"", 422, "the body is empty, expected a JSON object"),
        (b"[1]", 422, "the body is [1], expected a JSON object"),
        (b'"C"', 422, 'the body is "C", expected a JSON object'),
        (b"null", 422, "the body is null, expected a JSON object"),
        (b'{"smiles": ["\xff"]}', 400, "the body cannot be read: it is not UTF-8 text at byte 14"),
        (b'{"smile": ["C"]}', 422, "smiles is missing"),
        (b'{"smiles": ["C"], "colour": 1}', 422, "there is nothing called colour"),
        (b'{"smiles": ["C", 5]}', 422, "smiles[1]: got 5, expected a text"),
        (b'{"smiles": [["C"]]}', 422, 'smiles[0]: got ["C"], expected a text'),
        (b'{"smiles": "C"}', 422, 'smiles: got "C", expected a list'),
        (b'{"smiles": []}', 422, "smiles: got 0 values, expected at least 1"),
        (b'{"smiles": ["C"], "interval": 2}', 422, "interval: got 2, expected a number less than 1"),
        (b'{"smiles": ["C"], "neighbors": 1.5}', 422, "neighbors: got 1.5, expected a whole number"),
        (b'{"smiles": ["C"], "extra_columns": {"pH": ["a"]}}', 422, 'extra_columns.pH[0]: got "a", expected a number'),
        (b'{"smiles": ["C"], "extra_columns": {"pH": [NaN]}}', 422, "extra_columns.pH[0]: got NaN, expected a finite"),
    ],
)
def test_malformed_bodies_are_one_line_with_a_cure(client, content, status, told):
    answer = client.post("/api/predict", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "hint"}
    assert answer.json()["error"].startswith(told)
    assert answer.json()["hint"]
    assert "\n" not in answer.json()["error"] + answer.json()["hint"]


def test_bodies_of_another_type_or_depth_are_told(client):
    headers = {"content-type": "text/plain"}
    answer = client.post("/api/predict", content=b'{"smiles": ["C"]}', headers=headers)
    assert answer.json()["error"] == (
        "the body is not sent as JSON, expected the header content-type: application/json"
    )
    assert answer.json()["hint"] == 'Send a JSON object, such as {"smiles": ["CCO"]}.'
    deep = b'{"smiles": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = client.post("/api/jobs", content=deep, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "the body cannot be read: it is nested too deeply",
        "hint": 'Send a JSON object, such as {"text": "CCO ethanol"}.',
    }
    answer = client.post("/api/jobs/file", content=b"x", headers={"content-type": "multipart/form-data"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the form cannot be read: ")
    assert answer.json()["hint"]
    answer = client.post("/api/jobs/file", data={"models": ["atoms"]})
    assert answer.json()["error"] == "file is missing"


def test_tables_and_rows_that_are_not_there_have_a_hint(client, finish):
    assert client.get("/api/jobs/none").json()["hint"] == "GET /api/jobs lists the tables."
    job = finish(client, client.post("/api/jobs", json={"text": "C"}).json())
    answer = client.get(f"/api/jobs/{job['id']}/rows/9/neighbors?model=atoms")
    assert (answer.status_code, answer.json()["hint"]) == (404, f"GET /api/jobs/{job['id']} says how many there are.")


@pytest.mark.parametrize("name", ["in.csv", "in.smi", "in.sdf", "in.xlsx", "in.csv.gz"])
def test_files_of_each_format_are_predicted(client, finish, name):
    from pyg_samsa.chem.mol_blocks import smiles_block

    content = b"smiles,note\nCCO,x\nc1ccccc1,y\n"
    if name.endswith("gz"):
        import gzip

        content = gzip.compress(content)
    elif name.endswith("sdf"):
        content = "".join(f"{smiles_block(smiles)}$$$$\n" for smiles in ("CCO", "c1ccccc1")).encode()
    elif name.endswith("xlsx"):
        book = pytest.importorskip("openpyxl").Workbook()
        for row in (["smiles", "note"], ["CCO", "x"], ["c1ccccc1", "y"]):
            book.active.append(row)
        file = io.BytesIO()
        book.save(file)
        content = file.getvalue()
    form = {"models": ["atoms"], "interval": "0.9"}
    job = finish(client, client.post("/api/jobs/file", data=form, files={"file": (name, content)}).json())
    assert (job["state"], job["rows"], job["errors"], job["title"]) == ("done", 2, 0, name)
    rows = client.get(f"/api/jobs/{job['id']}/rows").json()["rows"]
    assert [row["cells"][:3] for row in rows] == [["3", "2.5", "3.5"], ["6", "5.5", "6.5"]]


@pytest.mark.parametrize("v3000", [False, True])
def test_a_molfile_is_one_row_with_its_title(client, finish, v3000):
    from rdkit import Chem

    molecule = Chem.MolFromSmiles("OCC")
    molecule.SetProp("_Name", "ethanol")
    block = Chem.MolToMolBlock(molecule, forceV3000=v3000)
    form = {"models": ["atoms"]}
    job = finish(client, client.post("/api/jobs/file", data=form, files={"file": ("a.mol", block)}).json())
    assert (job["state"], job["rows"], job["total"], job["errors"]) == ("done", 1, 1, 0)
    (row,) = client.get(f"/api/jobs/{job['id']}/rows").json()["rows"]
    assert (row["name"], row["smiles"], row["cells"][0]) == ("ethanol", "CCO", "3")
    answer = client.get(f"/api/jobs/{job['id']}/download?format=sdf")
    assert answer.headers["content-disposition"] == 'attachment; filename="a-predictions.sdf"'
    assert answer.text.startswith(block)


def test_what_is_wrong_with_a_file_is_told(client):
    answer = client.post("/api/jobs/file", files={"file": ("a.csv", b"a,b\n1,2\n")})
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "No column of SMILES was found. The columns are 'a', 'b'",
        "hint": "Write the name of the right column into 'SMILES column'.",
    }
    form = {"smiles_column": "smile"}
    answer = client.post("/api/jobs/file", data=form, files={"file": ("a.csv", b"smiles,y\nC,2\n")})
    assert answer.json() == {
        "error": "There is no column 'smile'. The columns are 'smiles', 'y'",
        "hint": "Did you mean 'smiles'? Write the name of the right column into 'SMILES column'.",
    }
    answer = client.post("/api/jobs/file", files={"file": ("a.csv", b"InChI,y\nInChI=1S/CH4/h1H4,2\n")})
    assert "ChemDraw" in answer.json()["hint"]
    answer = client.post("/api/jobs/file", files={"file": ("a.sdf", b"\n")})
    assert answer.json()["error"] == "table.sdf: the file is empty"  # no path of the temporary folder
    answer = client.post("/api/jobs/file", files={"file": ("a.csv", b"smiles,smiles\nC,C\n")})
    assert answer.json() == {
        "error": "Several columns are called 'smiles'",
        "hint": "Write the number of the right one into 'SMILES column': 1 and 2.",
    }
    form = {"smiles_column": "smiles"}
    again = client.post("/api/jobs/file", data=form, files={"file": ("a.csv", b"smiles,smiles\nC,C\n")})
    assert again.json() == answer.json()
    answer = client.post("/api/jobs/file", files={"file": ("a.csv", b"a,\n1,C\n")})
    assert answer.json()["hint"] == ("If column 2, which has no name, is the right one, write 2 into 'SMILES column'.")
    answer = client.post("/api/jobs/file", files={"file": ("a.doc", b"x")})
    assert answer.status_code == 422
    assert client.get("/api/jobs").json() == []


def test_a_table_can_be_cancelled_and_deleted(open_client, counter, finish):
    client = open_client([counter(pause=0.1)])
    job = client.post("/api/jobs", json={"text": "C\n" * 1900, "neighbors": False}).json()
    assert job["state"] in ("waiting", "running")
    assert client.post(f"/api/jobs/{job['id']}/cancel").status_code == 200
    found = finish(client, job)
    assert found["state"] == "cancelled"
    assert found["rows"] < 1900
    assert [one["id"] for one in client.get("/api/jobs").json()] == [job["id"]]
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert client.get(f"/api/jobs/{job['id']}").status_code == 404


def test_a_full_server_answers_429(open_client, counter):
    from pyg_samsa.web.limits import Limits

    client = open_client([counter(pause=0.2)], limits=Limits(max_tables=1))
    client.post("/api/jobs", json={"text": "C\n" * 600})
    answer = client.post("/api/jobs", json={"text": "C"})
    assert (answer.status_code, answer.json()["error"]) == (429, "1 tables are being predicted")


@pytest.mark.parametrize("path", ["", "/rows", "/download", "/rows/1/structure.svg", "/rows/1/neighbors?model=atoms"])
def test_unknown_tables_are_404(client, path):
    assert client.get(f"/api/jobs/nope{path}").status_code == 404


HALF = "\\ud800"  # as JSON writes half of a pair of surrogates
JSON = {"content-type": "application/json"}


def test_a_text_that_cannot_be_written_is_an_error_of_its_row(client):
    body = f'{{"smiles": ["CCO", "{HALF}", "C{HALF}"], "models": ["atoms"], "neighbors": 1}}'
    answer = client.post("/api/predict", content=body, headers=JSON)
    assert answer.status_code == 200
    found = answer.json()
    assert [(one["smiles"], one["error"]) for one in found] == [
        ("CCO", ""),
        ("?", "RDKit cannot read this SMILES"),
        ("C?", "RDKit cannot read this SMILES"),
    ]
    assert [one["values"] for one in found] == [{"atoms": 3.0}, {}, {}]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("predict", f'"{HALF}"', 'the body is "?", expected a JSON object'),
        ("predict", f'{{"smiles": "{HALF}"}}', 'smiles: got "?", expected a list'),
        ("predict", f'{{"smiles": ["C"], "{HALF}": 1}}', "there is nothing called ?"),
        ("predict", f'{{"smiles": ["C"], "models": ["{HALF}"]}}', "models: got '?', expected one of"),
        ("predict", f'{{"smiles": ["C"], "interval": "{HALF}"}}', 'interval: got "?", expected a number'),
        ("predict", f'{{"smiles": ["C"], "extra_columns": {{"{HALF}": ["a"]}}}}', 'extra_columns.?[0]: got "a"'),
        ("predict", f'{{"smiles": [{"[" * 300}"{HALF}"{"]" * 300}]}}', "smiles[0]: got [[["),
        ("predict", f'{{"smiles": [[[["{HALF}"]]]]}}', 'smiles[0]: got [[["?"]]]'),
        ("jobs", f'{{"text": ["{HALF}"]}}', 'text: got ["?"], expected a text'),
        ("jobs", f'{{"text": "C", "models": ["{HALF}"]}}', "models: got '?', expected one of"),
    ],
)
def test_texts_that_cannot_be_written_are_refused_in_one_line(client, path, body, told):
    answer = client.post(f"/api/{path}", content=body, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(told)


def test_pasted_names_that_cannot_be_written_reach_all_downloads(client, finish):
    job = client.post("/api/jobs", content=f'{{"text": "CCO {HALF}x\\n{HALF}"}}', headers=JSON).json()
    assert finish(client, job)["rows"] == 2
    rows = client.get(f"/api/jobs/{job['id']}/rows").json()["rows"]
    assert [(row["name"], row["smiles"]) for row in rows] == [("?x", "CCO"), ("", "?")]
    for kind in ("csv", "xlsx", "sdf"):
        assert client.get(f"/api/jobs/{job['id']}/download?format={kind}").status_code == 200


def test_a_file_name_that_cannot_be_written_is_made_one(client, finish):
    about = 'content-disposition: form-data; name="file"; filename="\\ud800.csv"'
    lines = ["--x", about, "", "smiles\nC\n", "--x--", ""]
    headers = {"content-type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    answer = client.post("/api/jobs/file", content="\r\n".join(lines).encode(), headers=headers)
    assert answer.status_code == 201
    assert finish(client, answer.json())["title"] == "?.csv"


def test_null_means_the_default_of_what_may_be_left_out(client, finish):
    names = ("models", "interval", "extra_columns", "neighbors")
    nothing = dict.fromkeys(names)
    few = [client.post("/api/predict", json={"smiles": ["CCO"], **asked}) for asked in (nothing, {})]
    assert few[0].json() == few[1].json()
    job = client.post("/api/jobs", json={"text": "CCO", **nothing})
    assert job.status_code == 201
    titles = [column["title"] for column in finish(client, job.json())["columns"]]
    assert "atoms: nearest_smiles" in titles  # neighbors is true
    assert client.post("/api/jobs", json={"text": None}).json()["error"] == "text: got null, expected a text"
    assert client.post("/api/predict", json={"smiles": None}).json()["error"] == "smiles: got null, expected a list"
    document = client.get("/api/openapi.json").json()["components"]["schemas"]
    for kind in ("PredictRequest", "TextRequest"):
        taken = {name: about.get("anyOf", ()) for name, about in document[kind]["properties"].items()}
        assert {name for name, kinds in taken.items() if {"type": "null"} in kinds} == set(names)
