"""The real download code against a server on this machine."""

import hashlib
import io
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io import download
from pyg_samsa.io.download import fetch

CONTENT = bytes(range(256)) * 4096
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    content = CONTENT
    requests: list[str]

    def do_GET(self):
        self.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
            return
        if self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[: 1000 if self.path == "/truncated" else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    class Fresh(Handler):
        pass

    Fresh.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        yield httpd
        httpd.shutdown()
        thread.join()


def left(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("known_hash", [SHA256, MD5, SHA256.removeprefix("sha256:")])
@pytest.mark.parametrize("path", ["/file", "/moved"])
def test_good_file_arrives_once(server, tmp_path, known_hash, path, capsys):
    target = tmp_path / "new" / "data.bin"
    for _ in range(2):
        assert fetch(server.url + path, target, known_hash) == target
    assert target.read_bytes() == CONTENT
    assert server.RequestHandlerClass.requests.count(path) == 1
    assert left(target.parent) == ["data.bin"]
    assert "data.bin" in capsys.readouterr().err


def test_quiet(server, tmp_path, capsys):
    fetch(server.url + "/file", tmp_path / "data.bin", SHA256, progress=False)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_wrong_hash_leaves_nothing(server, tmp_path):
    with pytest.raises(DataIntegrityError, match=r"data\.bin.*expected sha256") as caught:
        fetch(server.url + "/file", tmp_path / "data.bin", "sha256:" + "0" * 64, progress=False)
    assert server.url in str(caught.value)
    assert caught.value.hint
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/missing", "404"), ("/truncated", "broke off"), ("/loop", "redirects")],
    ids=["missing", "truncated", "loop"],
)
@pytest.mark.parametrize("known_hash", [SHA256, None])
def test_server_errors_name_file_address_and_cure(server, tmp_path, path, reason, known_hash):
    with pytest.raises(DataNotFoundError, match=reason) as caught:
        fetch(server.url + path, tmp_path / "data.bin", known_hash, progress=False)
    assert "data.bin" in str(caught.value)
    assert server.url + path in str(caught.value)
    assert str(tmp_path / "data.bin") in caught.value.hint
    assert left(tmp_path) == []


def test_no_server(tmp_path):
    with pytest.raises(DataNotFoundError, match="no connection") as caught:
        fetch("http://127.0.0.1:9/file", tmp_path / "data.bin", SHA256, progress=False)
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == []


def test_no_such_host(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"nowhere\.invalid"):
        fetch("https://nowhere.invalid/file", tmp_path / "data.bin", SHA256, progress=False)


def test_plain_http_behind_an_https_address_is_refused(server, tmp_path):
    with pytest.raises(DataNotFoundError, match="certificate"):
        fetch(server.url.replace("http:", "https:") + "/file", tmp_path / "data.bin", None, progress=False)
    assert left(tmp_path) == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the self-signed certificate")
def test_a_self_signed_certificate_is_refused(server, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run([*command, "-keyout", key, "-out", certificate, "-days", "2"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:") + "/file"
    folder = tmp_path / "folder"
    with pytest.raises(DataNotFoundError, match="certificate"):
        fetch(url, folder / "data.bin", SHA256, progress=False)
    assert left(folder) == []
    assert server.RequestHandlerClass.requests == []


def test_redirect_from_https_to_http_is_refused(server, tmp_path, monkeypatch):
    import requests

    def send(self, request, **options):
        response = requests.Response()
        response.status_code, response.url, response.request = 302, request.url, request
        response.headers["Location"] = server.url + "/file"
        response.raw = io.BytesIO(b"")
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    with pytest.raises(DataIntegrityError, match="https"):
        fetch("https://secure.invalid/file", tmp_path / "data.bin", None, progress=False)
    assert left(tmp_path) == []


def test_a_file_that_is_there_is_checked_not_replaced(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"mine")
    with pytest.raises(DataIntegrityError, match=r"data\.bin"):
        fetch(server.url + "/file", tmp_path / "data.bin", SHA256, progress=False)
    assert (tmp_path / "data.bin").read_bytes() == b"mine"
    assert server.RequestHandlerClass.requests == []


def test_without_a_published_hash_the_first_download_is_recorded_and_later_ones_must_equal_it(server, tmp_path, caplog):
    target = tmp_path / "data.bin"
    fetch(server.url + "/file", target, None, progress=False)
    assert caplog.messages == [
        "data.bin: there is no published hash to check this download against. Its SHA-256 is now in data.bin.sha256, "
        "and later downloads are checked against that."
    ]
    assert left(tmp_path) == ["data.bin", "data.bin.sha256"]
    assert (tmp_path / "data.bin.sha256").read_text() == f"{hashlib.sha256(CONTENT).hexdigest()}  data.bin\n"
    target.unlink()
    fetch(server.url + "/file", target, None, progress=False)
    target.unlink()
    server.RequestHandlerClass.content = b"other"
    with pytest.raises(DataIntegrityError) as caught:
        fetch(server.url + "/file", target, None, progress=False)
    assert f"To accept another version, delete {target}.sha256." in caught.value.hint
    assert left(tmp_path) == ["data.bin.sha256"]


def test_a_file_that_differs_from_the_first_download_is_noticed(server, tmp_path):
    target = tmp_path / "data.bin"
    fetch(server.url + "/file", target, None, progress=False)
    target.write_bytes(b"else")
    with pytest.raises(DataIntegrityError, match="the file of the first download") as caught:
        fetch(server.url + "/file", target, None)
    assert caught.value.hint == f"If this file is the right one, delete {target}.sha256."
    (tmp_path / "data.bin.sha256").unlink()
    assert fetch(server.url + "/file", target, None).read_bytes() == b"else"


def test_a_file_that_somebody_put_there_can_be_replaced(tmp_path):
    target = tmp_path / "data.bin"
    for content in (b"half", b"whole"):
        target.write_bytes(content)
        assert fetch("http://127.0.0.1:9/file", target, None).read_bytes() == content
    assert left(tmp_path) == ["data.bin"]


def test_old_leftovers_go(server, tmp_path):
    leftover = tmp_path / ".data.0123456789ab.part.bin"
    leftover.write_bytes(b"half")
    fetch(server.url + "/file", tmp_path / "data.bin", SHA256, progress=False)
    assert not leftover.exists()


def test_several_threads_download_once(server, tmp_path):
    target = tmp_path / "data.bin"
    threads = [
        threading.Thread(target=fetch, args=(server.url + "/file", target, SHA256), kwargs={"progress": False})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert server.RequestHandlerClass.requests == ["/file"]


def test_nothing_of_pyg_downloads():
    source = download.__loader__.get_source(download.__name__)
    assert "torch_geometric" not in source


def test_a_body_without_end_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_LARGEST", len(CONTENT) - 1)
    with pytest.raises(DataIntegrityError, match=r"data\.bin: got a larger one"):
        fetch(server.url + "/file", tmp_path / "data.bin", None, progress=False)
    assert left(tmp_path) == []
