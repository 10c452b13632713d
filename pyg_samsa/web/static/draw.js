// The drawing editor, in a frame of its own.

import { byId } from "./api.js";

let frame = null, take = null;

export function openEditor(taken) {
  take = taken;
  if (!frame) {
    frame = document.createElement("iframe");
    frame.title = "Drawing editor";
    frame.src = "/editor";
    byId("editor").append(frame);
  }
  byId("drawing").showModal();
}

byId("take").addEventListener("click", () => {
  const editor = frame.contentWindow.editor;
  const smiles = editor ? editor.smiles() : "";
  if (smiles && take) take(smiles);
  byId("drawing").close();
});
byId("drop-drawing").addEventListener("click", () => byId("drawing").close());
