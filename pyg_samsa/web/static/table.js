// The table of predictions: sorted, filtered and cut into pages by the server.

import { byId, call, element, theme } from "./api.js";
import { openDetail } from "./detail.js";

const PAGE = 50;
let job = null, sort = "row", descending = false, offset = 0, asked = 0;

function query() {
  const given = {
    search: byId("search").value.trim(), show: byId("show").value, sort, descending,
    column: byId("filter-column").value,
    low: byId("filter-column").value ? byId("low").value : "", high: byId("filter-column").value ? byId("high").value : "",
  };
  const kept = Object.entries(given).filter(([, value]) => value !== "" && value !== false);
  return new URLSearchParams(kept).toString();
}

function columnsOf(role, model, target) {
  return job.columns.findIndex((column) => column.role === role && column.model === model && column.target === target);
}

// What is shown as one column: a value with its interval or set, a class, a similarity.
function shownColumns() {
  const shown = [];
  job.columns.forEach((column, place) => {
    if (!["value", "class", "similarity"].includes(column.role)) return;
    const below = column.role === "value" ? [columnsOf("low", column.model, column.target), columnsOf("high", column.model, column.target)] : [];
    let set = column.role === "value" ? columnsOf("set", column.model, column.target) : -1;
    if (column.role === "class") set = columnsOf("set", column.model, "");
    const titles = { value: column.target, class: "most likely class", similarity: "similarity to training" };
    shown.push({ place, key: column.key, title: titles[column.role], model: job.models.length > 1 ? column.model : "", below, set });
  });
  return shown;
}

function header(title, key, model) {
  const state = sort === key ? (descending ? "descending" : "ascending") : null;
  const press = () => {
    descending = sort === key ? !descending : key !== "row" && key !== "name";
    sort = key;
    offset = 0;
    load();
  };
  return element("th", { scope: "col", "aria-sort": state }, element("button", { type: "button", onclick: press }, title), model ? element("small", {}, model) : null);
}

function cell(row, column) {
  const below = column.below.every((place) => place >= 0) && column.below.length ? column.below.map((place) => row.cells[place]) : null;
  const set = column.set >= 0 ? row.cells[column.set] : "";
  const more = below && below[0] ? `${below[0]} to ${below[1]}` : set ? `set: ${set}` : "";
  return element("td", { class: "number" }, row.cells[column.place], more ? element("small", {}, more) : null);
}

function line(row, columns) {
  const failed = !row.cells.some((text) => text);
  const name = row.name || `row ${row.row}`;
  const title = failed ? element("b", {}, name) : element("button", { type: "button", "data-row": row.row, onclick: () => openDetail(job, row) }, name);
  const source = `/api/jobs/${job.id}/rows/${row.row}/structure.svg?theme=${theme()}`;
  const picture = failed ? null : element("img", { class: "molecule", src: source, alt: "", loading: "lazy" });
  const cells = failed ? [element("td", { class: "failed", colspan: columns.length + 1 }, row.error)] : [...columns.map((column) => cell(row, column)), element("td", {}, row.error)];
  return element("tr", {}, element("td", {}, String(row.row)), element("th", { scope: "row" }, title, element("span", { class: "smiles", title: row.smiles.slice(0, 500) }, row.smiles)), element("td", {}, picture), ...cells);
}

function draw(found) {
  const columns = shownColumns();
  const table = byId("table");
  table.tHead.replaceChildren(element("tr", {}, header("row", "row"), header("name", "name"), element("th", { scope: "col" }, element("small", {}, "structure")), ...columns.map((column) => header(column.title, column.key, column.model)), element("th", { scope: "col" }, element("small", {}, "remark"))));
  table.tBodies[0].replaceChildren(...found.rows.map((row) => line(row, columns)));
  const last = Math.min(offset + PAGE, found.count);
  byId("page").textContent = found.count ? `Rows ${(offset + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${found.count.toLocaleString("en")}` : "No row fits.";
  byId("previous").disabled = offset === 0;
  byId("next").disabled = last >= found.count;
}

async function load() {
  const own = ++asked;
  const text = query();
  for (const kind of ["csv", "sdf"]) byId(kind).href = `/api/jobs/${job.id}/download?format=${kind}&${text}`;
  try {
    const found = await call(`/api/jobs/${job.id}/rows?${text}&offset=${offset}&limit=${PAGE}`);
    if (own !== asked) return;
    if (offset && offset >= found.count) {
      offset = 0;
      await load();
      return;
    }
    const focus = document.activeElement && byId("table").contains(document.activeElement) ? document.activeElement.textContent : null;
    draw(found);
    if (focus) Array.from(byId("table").querySelectorAll("button")).find((button) => button.textContent === focus)?.focus();
  } catch (error) {
    byId("page").textContent = error.message;
  }
}

export async function showTable(given) {
  job = given;
  sort = "row";
  descending = false;
  offset = 0;
  for (const id of ["search", "low", "high"]) byId(id).value = "";
  byId("show").value = "all";
  const options = job.columns.filter((column) => column.is_number).map((column) => element("option", { value: column.key }, column.title));
  byId("filter-column").replaceChildren(element("option", { value: "" }, "(any value)"), ...options);
  byId("results").hidden = false;
  await load();
}

// More rows are there. A page that is full in the order of the rows stays as it is; only the numbers change.
export async function updateTable(given) {
  job = given;
  await load();
}

export function redraw() {
  if (job) load();
}

let timer = null;
for (const id of ["search", "show", "filter-column", "low", "high"]) {
  byId(id).addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      offset = 0;
      if (job) load();
    }, 250);
  });
}
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("previous").addEventListener("click", () => {
  offset = Math.max(0, offset - PAGE);
  load();
});
byId("next").addEventListener("click", () => {
  offset += PAGE;
  load();
});
