import re

import pytest

STRICT = ("/", "/static/main.js", "/api/info", "/no-such-page", "/api/openapi.json")


@pytest.mark.parametrize("path", STRICT)
def test_every_answer_has_the_policy(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    assert re.findall(r"[\w-]+ 'unsafe-inline'", policy) == ["style-src-attr 'unsafe-inline'"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_editor_reaches_no_server(client):
    for path in ("/editor", "/static/jsme/jsme.nocache.js"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src" not in policy


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "", "192.168.0.1", "[::1"])
def test_other_names_of_the_host_are_refused(client, host):
    answer = client.get("/api/info", headers={"host": host})
    assert answer.status_code == 400
    assert answer.json()["error"] == "the name of the host is not that of this server"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:81", "[::1]:8000", "LOCALHOST"])
def test_names_of_the_loopback_address_are_taken(client, host):
    assert client.get("/api/info", headers={"host": host}).status_code == 200


def test_a_server_on_another_address_takes_its_name(open_client, counter):
    client = open_client([counter()], hosts=["10.0.0.5"])
    assert client.get("/api/info", headers={"host": "10.0.0.5:8000"}).status_code == 200
    assert client.get("/api/info", headers={"host": "10.0.0.6:8000"}).status_code == 400


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_server_on_all_addresses_takes_addresses_and_no_foreign_names(open_client, counter, everywhere):
    client = open_client([counter()], hosts=[everywhere, "lab"])
    for host, status in (("10.0.0.6:8000", 200), ("[2001:db8::1]:80", 200), ("lab:80", 200), ("evil.example", 400)):
        assert client.get("/api/info", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:81"},
    ],
)
def test_requests_of_other_sites_are_refused(client, headers):
    answer = client.post("/api/jobs", json={"text": "C"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "this request comes from another site")
    assert client.get("/api/jobs").json() == []


def test_requests_of_the_page_are_taken(client):
    headers = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
    assert client.post("/api/jobs", json={"text": "C"}, headers=headers).status_code == 201


def test_large_requests_are_refused(client):
    answer = client.post("/api/jobs", json={"text": "C\n" * 2**20})
    assert (answer.status_code, answer.json()["error"]) == (413, "the request has more than 1 MB")

    def unannounced():
        for _ in range(30):
            yield b"x" * 2**17

    answer = client.post(
        "/api/jobs/file", content=unannounced(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 413
