// The form: pasted, drawn and dropped molecules.

import { byId, call, info, modelOf, send, theme } from "./api.js";
import { openEditor } from "./draw.js";
import { follow } from "./progress.js";
import { redraw } from "./table.js";

const EXAMPLE = `CC(=O)Oc1ccccc1C(=O)O aspirin
CN1C=NC2=C1C(=O)N(C(=O)N2C)C caffeine
CC(C)Cc1ccc(cc1)C(C)C(=O)O ibuprofen
OCC1OC(O)C(O)C(O)C1O glucose
Clc1ccc(cc1)C(c1ccc(Cl)cc1)C(Cl)(Cl)Cl DDT
CC(N)C(=O)NCC(=O)O Ala-Gly
`;
let dropped = null, fileIsNewer = false;

function tell(error) {
  const place = byId("problem");
  place.textContent = error ? `${error.message}${error.hint ? `\n${error.hint}` : ""}` : "";
  place.hidden = !error;
}

function chosenModels() {
  return Array.from(document.querySelectorAll('input[name="model"]:checked'), (box) => box.value);
}

function interval() {
  const choice = byId("interval");
  return choice && choice.value ? Number(choice.value) : null;
}

function startFile(file) {
  const form = new FormData();
  form.append("file", file);
  for (const name of chosenModels()) form.append("models", name);
  if (interval()) form.append("interval", interval());
  form.append("smiles_column", byId("smiles-column").value);
  return call("/api/jobs/file", { method: "POST", body: form });
}

function startText() {
  const extra = {};
  for (const input of document.querySelectorAll(".extra")) {
    if (input.value === "") throw Object.assign(new Error(`The value of ${input.dataset.name} is missing.`), { hint: "" });
    extra[input.dataset.name] = Number(input.value);
  }
  return send("/api/jobs", { text: byId("text").value, models: chosenModels(), interval: interval(), extra_columns: extra });
}

async function predict(file) {
  tell(null);
  byId("predict").disabled = true;
  try {
    if (info.models.length > 1 && !chosenModels().length) throw Object.assign(new Error("No model is chosen."), { hint: "" });
    if (file && file.size > info.limits.max_mb * 2 ** 20) {
      throw Object.assign(new Error(`${file.name} has more than ${info.limits.max_mb} MB.`), { hint: "Split it into several files." });
    }
    follow(await (file ? startFile(file) : startText()), tell);
  } catch (error) {
    tell(error);
  } finally {
    byId("predict").disabled = false;
  }
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  // What was given last is predicted.
  const file = byId("file").files[0] || dropped;
  predict(file && (fileIsNewer || !byId("text").value.trim()) ? file : null);
});
byId("text").addEventListener("input", () => {
  fileIsNewer = false;
});
byId("file").addEventListener("change", () => {
  dropped = null;
  fileIsNewer = true;
  if (byId("file").files[0]) predict(byId("file").files[0]);
});
byId("example").addEventListener("click", () => {
  const chosen = info.models.length > 1 ? chosenModels() : [info.models[0].name];
  const lines = new Set(chosen.flatMap((name) => modelOf(name).example));
  byId("text").value = lines.size ? `${Array.from(lines).join("\n")}\n` : EXAMPLE;
  fileIsNewer = false;
});
byId("draw").addEventListener("click", () => openEditor((smiles) => {
  const before = byId("text").value.trimEnd();
  byId("text").value = `${before}${before ? "\n" : ""}${smiles}\n`;
  fileIsNewer = false;
}));

// A file may be dropped anywhere.
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  const file = event.dataTransfer && event.dataTransfer.files[0];
  if (!file) return;
  dropped = file;
  byId("file").value = "";
  fileIsNewer = true;
  predict(file);
});

const root = document.documentElement;
try {
  const kept = localStorage.getItem("theme");
  if (kept) root.dataset.theme = kept;
} catch (error) { /* storage is switched off */ }
byId("theme").addEventListener("click", () => {
  root.dataset.theme = theme() === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch (error) { /* storage is switched off */ }
  redraw();
});

const earlier = location.hash.slice(1);
if (/^[\w-]+$/.test(earlier)) {
  call(`/api/jobs/${earlier}`).then((job) => follow(job, tell)).catch(() => history.replaceState(null, "", "/"));
}
