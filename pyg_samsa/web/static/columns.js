import { modelOf } from "./api.js";

// What the page shows of the columns that the models add: a value with its interval or set, a class, a similarity.

const TITLES = { class: "most likely class", similarity: "similarity to training" };

const WORDS = { spread: "spread", low: "lower end", high: "upper end", measured: "value of the nearest training molecule" };

// The name of a column in words, for a list from which one is chosen.
export function spoken(column, several) {
  const words = column.role === "value" ? column.target : TITLES[column.role] || (WORDS[column.role] ? `${column.target}, ${WORDS[column.role]}` : column.title);
  return several ? `${words} (${column.model})` : words;
}

function find(job, role, model, target) {
  return job.columns.findIndex((column) => column.role === role && column.model === model && column.target === target);
}

export function shownColumns(job) {
  const shown = [];
  job.columns.forEach((column, place) => {
    if (column.role !== "value" && !(column.role in TITLES)) return;
    const ends = column.role === "value" ? ["low", "high"].map((role) => find(job, role, column.model, column.target)) : [];
    const set = column.role === "similarity" ? -1 : find(job, "set", column.model, column.target);
    shown.push({ place, key: column.key, role: column.role, title: TITLES[column.role] || column.target, model: column.model, ends: ends.includes(-1) ? [] : ends, set });
  });
  return shown;
}

// Decimals of a value, which its interval has as well: four digits, of which at most three are decimals.
function decimals(value) {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 0.01)) return null;
  return size >= 1 ? Math.max(0, 3 - Math.floor(Math.log10(size))) : 3;
}

function text(value, places) {
  const shown = places === null ? String(Number(value.toPrecision(3))) : value.toFixed(places);
  return shown.replace(/^-/, "−");
}

function probability(value) {
  return value > 0 && value < 0.0005 ? "< 0.001" : value.toFixed(3);
}

export function valueOf(row, column, isProbability) {
  const value = row.numbers[column.place];
  if (column.role !== "value" || value === null) return row.cells[column.place];
  return isProbability ? probability(value) : text(value, decimals(value));
}

// A set of classes, or of the answers 0 and 1 of a label.
function set(cell, classes) {
  if (cell === "-") return classes ? "no class fits" : "neither yes nor no fits";
  if (classes) return cell.includes("|") ? `could be ${cell.replaceAll("|", " or ")}` : `class: ${cell}`;
  return { 0: "answer: no", 1: "answer: yes" }[cell] || "answer: open";
}

export function belowOf(row, column) {
  const value = row.numbers[column.place];
  const ends = column.ends.map((place) => row.numbers[place]);
  if (ends.length && ends.every((end) => end !== null)) return ends.map((end) => text(end, decimals(value))).join(" to ");
  if (column.set < 0 || !row.cells[column.set]) return "";
  return set(row.cells[column.set], modelOf(column.model).kind === "multiclass");
}
