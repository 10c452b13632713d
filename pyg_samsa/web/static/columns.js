// What the page shows of the columns that the models add: a value with its interval or set, a class, a similarity.

const TITLES = { class: "most likely class", similarity: "similarity to training" };

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

// Probabilities get three decimals, values four digits; downloads have all digits.
export function number(value, probability) {
  if (value === null) return "";
  if (probability) return value < 0.0005 ? "< 0.001" : value.toFixed(3);
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(size >= 1000 ? 6 : 4)));
  return text.replace(/^-/, "−");
}

export function valueOf(row, column, probability) {
  if (column.role === "class") return row.cells[column.place];
  if (column.role === "similarity") return row.cells[column.place];
  return number(row.numbers[column.place], probability);
}

export function belowOf(row, column) {
  if (column.ends.length && row.cells[column.ends[0]]) return column.ends.map((place) => number(row.numbers[place], false)).join(" to ");
  if (column.set < 0 || !row.cells[column.set]) return "";
  const set = row.cells[column.set].replaceAll("|", " or ");
  return set === "-" ? "set: none" : `set: ${set}`;
}
