"""Serve an exported network over HTTP, without torch: only NumPy, RDKit and ONNX Runtime.

pyg-samsa export peptides peptides.onnx
python examples/serve_onnx.py peptides.onnx
curl "http://127.0.0.1:8000/?smiles=NCC(=O)O"
"""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import onnxruntime

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.chem.ogb_features import graph_arrays, parse_smiles
from pyg_samsa.chem.standardize import Standardizer


class Network:
    """A network in an ONNX file."""

    def __init__(self, path: str) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.about = json.loads(self.session.get_modelmeta().custom_metadata_map["pyg_samsa"])
        if self.about["extra_columns"]:
            raise SystemExit(
                f"This network also reads {', '.join(self.about['extra_columns'])}, which requests do not hold."
            )

    def predict(self, smiles: str) -> dict[str, float]:
        """Return the prediction of each target.

        Raises:
            ValueError: RDKit cannot read the SMILES.
        """
        if self.about["standardize"]:
            smiles = Standardizer(self.about["standardize"])(smiles)
        molecule = parse_smiles(smiles)
        if isinstance(molecule, str):
            raise ValueError(molecule)
        x, edge_index, edge_attr = (array.astype(np.int64) for array in graph_arrays(molecule))
        inputs = {"x": x, "edge_index": edge_index, "edge_attr": edge_attr}
        if "graph_features" in self.about["inputs"]:
            inputs["graph_features"] = compute_descriptors([smiles], self.about["descriptors"], progress=False)
        (prediction,) = self.session.run(None, {name: inputs[name] for name in self.about["inputs"]})
        return dict(zip(self.about["task"]["names"], prediction[0].astype(float).tolist(), strict=True))


def make_server(path: str, port: int) -> ThreadingHTTPServer:
    """Return a server on this machine only, which answers ``/?smiles=...`` with JSON."""
    network = Network(path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            smiles = parse_qs(urlparse(self.path).query).get("smiles", [""])[0]
            try:
                status, answer = 200, network.predict(smiles)
            except ValueError as error:
                status, answer = 400, {"error": str(error)}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="file of `pyg-samsa export`")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    server = make_server(args.network, args.port)
    print(f"http://127.0.0.1:{server.server_port}/?smiles=NCC(=O)O")
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
