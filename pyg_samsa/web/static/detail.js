// One molecule: coloured atoms and bonds, all predictions, the nearest training molecules.

import { byId, call, element, isProbability, modelOf, theme } from "./api.js";
import { belowOf, shownColumns, valueOf } from "./columns.js";

const METHODS = {
  sampled: ["where the model looks", "The share of the model's attention that each atom and bond gets, in percent. It does not say whether the part raises or lowers the prediction."],
  contribution: ["what raises or lowers it", "What each atom and bond adds to the prediction through the model's attention, an estimate. Warm colours raise the prediction, blue lowers it."],
  occlusion: ["effect of leaving it out", "How far the prediction falls when the model does not see the atom or bond. Warm colours: it falls, so the part raises the prediction. Blue: it rises."],
};
const LOG_ODDS = " The scores are on the model's internal scale (log-odds); they are not changes of the probability.";
let job = null, row = null, found = null, asked = 0;

function svgOf(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
  return document.importNode(parsed.documentElement, true);
}

function address(end, given) {
  return `/api/jobs/${job.id}/rows/${row.row}/${end}?${new URLSearchParams(given)}`;
}

function options(select, texts) {
  select.replaceChildren(...texts.map(([value, text]) => element("option", { value }, text)));
}

function values() {
  const several = job.models.length > 1;
  return shownColumns(job).filter((column) => row.cells[column.place]).map((column) => {
    const below = belowOf(row, column);
    const value = valueOf(row, column, isProbability(column.model));
    const title = several ? `${column.model}: ${column.title}` : column.title;
    return element("div", {}, element("dt", {}, title), element("dd", {}, value, below ? element("small", {}, ` (${below})`) : null));
  });
}

function legend() {
  const method = byId("detail-method").value;
  const shown = found && found.methods[method];
  byId("picture").dataset.method = method;
  const given = { model: found.model, target: found.target, method, theme: theme() };
  for (const kind of ["png", "svg"]) byId(kind).href = address("picture", { ...given, format: kind });
  if (!shown) return byId("legend").replaceChildren();
  const middle = shown.scale === "diverging" ? element("span", {}, "0") : null;
  const unit = method === "sampled" ? " %" : "";
  const strongest = shown.strongest.map(([name, value]) => element("span", {}, element("b", {}, name), ` ${value}${unit}`));
  byId("legend").replaceChildren(
    found.note ? element("p", {}, `The picture shows the molecule that was predicted: ${found.note}.`) : "",
    element("p", {}, `${found.target}: ${found.value}. ${METHODS[method][1]}${method !== "sampled" && isProbability(found.model) ? LOG_ODDS : ""}`),
    element("div", { class: `bar ${shown.scale}` }),
    element("p", { class: "ends" }, element("span", {}, `${shown.ends[0]}${unit}`), middle, element("span", {}, `${shown.ends[1]}${unit}`)),
    element("p", { class: "strongest" }, element("span", {}, "Strongest:"), ...strongest),
    element("p", { class: "aside" }, "Atoms are numbered from 0, in the order of the SMILES. Point at one to see its number and score."),
  );
}

async function explain() {
  const own = ++asked;
  const picture = byId("picture");
  const model = byId("detail-model").value;
  picture.setAttribute("aria-busy", "true");
  try {
    const answer = await call(address("explanation", { model, target: byId("detail-target").value }));
    if (own !== asked) return;
    found = answer;
    const before = byId("detail-method").value;
    options(byId("detail-method"), Object.keys(found.methods).map((name) => [name, METHODS[name][0]]));
    if (before in found.methods) byId("detail-method").value = before;
    byId("detail-target").value = found.target;
    picture.replaceChildren(svgOf(found.svg));
    for (const kind of ["png", "svg"]) byId(kind).hidden = false;
    legend();
  } catch (error) {
    if (own !== asked) return;
    // Without colours the structure itself is shown.
    picture.replaceChildren(element("img", { src: address("structure.svg", { theme: theme() }), alt: "Structure", class: "molecule" }), element("p", { class: "aside" }, `${error.message[0].toUpperCase()}${error.message.slice(1)}. ${error.hint}`));
    byId("legend").replaceChildren();
    for (const kind of ["png", "svg"]) byId(kind).hidden = true;
  } finally {
    if (own === asked) picture.removeAttribute("aria-busy");
  }
}

async function neighbors() {
  const model = modelOf(byId("detail-model").value);
  const note = byId("neighbors-note"), list = byId("neighbors");
  list.replaceChildren();
  note.textContent = model.training_molecules === null ? `Not available: ${model.without_training}.` : "1.00 means the same structural features (Tanimoto similarity of fingerprints), 0 none in common. Where the similarity is low, the model has seen nothing like your molecule: trust its prediction less.";
  if (model.training_molecules === null) return;
  const number = row.row;
  const near = await call(address("neighbors", { model: model.name, count: 3 }));
  if (number !== row.row) return;
  list.replaceChildren(...near.map((one) => {
    const measured = Object.entries(one.measured).slice(0, 8).map(([name, value]) => `${name} ${value}`).join(", ");
    const picture = element("img", { src: `/api/structure.svg?${new URLSearchParams({ smiles: one.smiles, theme: theme() })}`, alt: "", loading: "lazy" });
    const facts = element("div", {}, element("b", {}, `similarity ${one.similarity.toFixed(2)}`), element("br"), measured ? `measured: ${measured}` : "nothing measured", element("br"), element("code", {}, one.smiles.length > 90 ? `${one.smiles.slice(0, 87)}...` : one.smiles));
    return element("li", {}, picture, facts);
  }));
}

export function openDetail(givenJob, givenRow) {
  job = givenJob;
  row = givenRow;
  byId("detail-title").textContent = row.name || `Row ${row.row}`;
  byId("detail-smiles").firstChild.textContent = row.smiles;
  options(byId("detail-model"), job.models.map((name) => [name, name]));
  targets();
  byId("picture").replaceChildren();
  byId("legend").replaceChildren();
  byId("detail-values").replaceChildren(...values());
  byId("detail").showModal();
  explain();
  neighbors();
}

function targets() {
  options(byId("detail-target"), modelOf(byId("detail-model").value).targets.map((name) => [name, name]));
  // Of probabilities the most likely one is explained first.
  if (modelOf(byId("detail-model").value).kind !== "regression") byId("detail-target").value = "";
}

byId("detail-model").addEventListener("change", () => {
  targets();
  explain();
  neighbors();
});
byId("detail-target").addEventListener("change", explain);
byId("detail-method").addEventListener("change", legend);
