// The progress of a table, and cancel.

import { byId, call, count, element } from "./api.js";
import { showTable, updateTable } from "./table.js";

let current = null;

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

function describe(job) {
  const failed = job.errors ? `, ${job.errors.toLocaleString("en")} without a prediction` : "";
  if (job.state === "waiting") return "Waiting for another prediction to finish.";
  if (job.state === "running") {
    const of = job.total === null ? "" : ` of ${job.total.toLocaleString("en")}`;
    const left = job.rows && job.total > job.rows ? `, about ${duration((job.seconds / job.rows) * (job.total - job.rows))} left` : "";
    return `${job.rows.toLocaleString("en")}${of} rows${failed}${left}`;
  }
  const done = `${count(job.rows, "row")} in ${duration(job.seconds)}${failed}.`;
  const why = job.message ? ` ${job.message[0].toUpperCase()}${job.message.slice(1)}.` : "";
  return `${job.state === "done" ? "" : "Not complete: "}${done}${why}${job.hint ? ` ${job.hint}` : ""}`;
}

function show(job) {
  const running = job.state === "waiting" || job.state === "running";
  byId("progress").hidden = false;
  byId("progress-title").textContent = job.title;
  byId("results-title").textContent = `Predictions for ${job.title}`;
  const bar = byId("bar");
  bar.hidden = byId("cancel").hidden = !running;
  byId("downloads").hidden = running;
  if (job.total) {
    bar.max = job.total;
    bar.value = Math.min(job.rows, job.total);
  } else {
    bar.removeAttribute("value");
  }
  byId("progress-text").textContent = describe(job);
  byId("progress").dataset.state = job.state;
  byId("notes").replaceChildren(...job.notes.map((note) => element("li", {}, note)));
  return running;
}

// Shows a table from its first rows on, until it is finished.
export async function follow(job, tell) {
  const id = job.id;
  if (current && current !== id) call(`/api/jobs/${current}`, { method: "DELETE" }).catch(() => {});
  current = id;
  history.replaceState(null, "", `#${id}`); // a page that is loaded again finds its table
  byId("cancel").disabled = false;
  byId("results").hidden = true;
  let seen = -1, wait = 100;
  while (current === id) {
    const running = show(job);
    if (job.rows > 0 && seen < 0) await showTable(job);
    else if (job.rows > seen && seen >= 0) await updateTable(job);
    if (job.rows > 0) seen = job.rows;
    if (!running) return;
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(1000, wait * 1.5);
    try {
      job = await call(`/api/jobs/${id}`);
    } catch (error) {
      tell(error);
      byId("cancel").disabled = true;
      return;
    }
  }
}

byId("cancel").addEventListener("click", async () => {
  byId("cancel").disabled = true;
  byId("progress-text").textContent = "Stopping after the next rows.";
  await call(`/api/jobs/${current}/cancel`, { method: "POST" }).catch(() => {});
});
