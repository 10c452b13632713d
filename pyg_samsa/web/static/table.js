// The table of predictions: sorted, filtered and cut into pages by the server.

import { byId, call, element, isProbability, theme } from "./api.js";
import { belowOf, shownColumns, spoken, valueOf } from "./columns.js";
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
  const below = belowOf(row, column);
  return element("td", { class: "number" }, valueOf(row, column, isProbability(column.model)), below ? element("small", {}, below) : null);
}

function line(row, columns, remarks) {
  const failed = !row.cells.some((text) => text);
  const name = row.name || `row ${row.row}`;
  const title = failed ? element("b", {}, name) : element("button", { type: "button", "data-row": row.row, onclick: () => openDetail(job, row) }, name);
  const source = `/api/jobs/${job.id}/rows/${row.row}/structure.svg?theme=${theme()}`;
  const picture = failed ? null : element("img", { class: "molecule", src: source, alt: "", loading: "lazy" });
  const cells = failed ? [element("td", { class: "failed", colspan: columns.length + remarks }, row.error)] : [...columns.map((column) => cell(row, column)), ...(remarks ? [element("td", {}, row.error)] : [])];
  const same = row.same_as ? element("small", {}, `same molecule as row ${row.same_as}`) : null;
  return element("tr", {}, element("td", {}, String(row.row)), element("th", { scope: "row" }, title, element("span", { class: "smiles", title: row.smiles.slice(0, 500) }, row.smiles), same), element("td", {}, picture), ...cells);
}

function draw(found) {
  const columns = shownColumns(job);
  const table = byId("table");
  const remarks = Number(found.rows.some((row) => row.error && row.cells.some((text) => text)));
  const several = job.models.length > 1;
  table.tHead.replaceChildren(element("tr", {}, header("row", "row"), header("name", "name"), element("th", { scope: "col" }, element("small", {}, "structure")), ...columns.map((column) => header(column.title, column.key, several ? column.model : "")), ...(remarks ? [element("th", { scope: "col" }, element("small", {}, "remark"))] : [])));
  table.tBodies[0].replaceChildren(...found.rows.map((row) => line(row, columns, remarks)));
  const last = Math.min(offset + PAGE, found.count);
  byId("page").textContent = found.count ? `Rows ${(offset + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${found.count.toLocaleString("en")}` : "No matching rows.";
  byId("previous").disabled = offset === 0;
  byId("next").disabled = last >= found.count;
}

async function load() {
  const own = ++asked;
  const text = query();
  for (const kind of ["csv", "xlsx", "sdf"]) byId(kind).href = `/api/jobs/${job.id}/download?format=${kind}&${text}`;
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
  const options = job.columns.filter((column) => column.is_number).map((column) => element("option", { value: column.key }, spoken(column, job.models.length > 1)));
  byId("filter-column").replaceChildren(element("option", { value: "" }, "(no filter)"), ...options);
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
