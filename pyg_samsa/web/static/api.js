// The REST interface.

export const info = JSON.parse(document.getElementById("info").textContent);
export const byId = (id) => document.getElementById(id);

export class Problem extends Error {
  constructor(answer, status) {
    super(answer.error || "The server does not answer as expected.");
    this.hint = answer.hint || "";
    this.status = status;
  }
}

export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    throw new Problem({ error: "The server cannot be reached.", hint: "Start it again: pyg-samsa serve" }, 0);
  }
  if (answer.status === 204) return null;
  let content;
  try {
    content = await answer.json();
  } catch (error) {
    content = {};
  }
  if (!answer.ok) throw new Problem(content, answer.status);
  return content;
}

export function send(path, content) {
  return call(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content) });
}

// Makes an element; texts are never read as HTML.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

export function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

export function modelOf(name) {
  return info.models.find((model) => model.name === name);
}

export function isProbability(name) {
  return modelOf(name).kind !== "regression";
}
