// What is under the pointer, and what the trainer is doing.

import { $, define } from "./dom.js";
import { count, decades, short, valueText, widthText } from "./numbers.js";

const STATES = { idle: "idle", starting: "starting", training: "training", failed: "stopped" };

/** The line about the trainer. */
export function showActivity({ state, samples_per_s: rate, tiles_waiting: waiting, error }) {
  const box = $("activity");
  box.dataset.state = state;
  box.textContent = state === "failed" ? `training stopped: ${error}`
    : state === "training" ? `${count(rate)} samples/s, ${count(waiting)} tiles waiting`
    : state === "starting" ? `starting, ${count(waiting)} tiles waiting` : "nothing to train";
  box.title = STATES[state] + (error ? `: ${error}` : "");
}

/** The box over the map: where the pointer is, what happened there, how deep the view is. */
export function showReadout(app, pointer) {
  const { scene, view, cache } = app;
  if (!scene) return;
  const [xAxis, yAxis] = scene.axes;
  const at = pointer ?? view;
  const inside = at.x >= 0 && at.x <= 1 && at.y >= 0 && at.y <= 1;
  const rows = [];
  if (inside) {
    rows.push([xAxis.name, valueText(xAxis, at.x, view.width)], [yAxis.name, valueText(yAxis, at.y, view.width)]);
    const found = cache.sample(at.x, at.y, app.finest);
    rows.push(found ? sampleRow(app, found) : ["here", "not trained yet"]);
  }
  const left = decades(scene.deepest_level - app.finest);
  const deep = Math.max(0, -Math.log10(view.width));
  rows.push(["view", `${widthText(xAxis, view.width)}, level ${app.finest}`]);
  rows.push(["zoomed", `${deep.toFixed(1)} decades, ${left.toFixed(1)} left in float64`]);
  define($("readout"), rows);
}

function sampleRow(app, { tile, at }) {
  const status = app.statuses[tile.status[at]] ?? "?";
  const said = tile.escape[at] >= 0 ? `${status} at step ${tile.escape[at]}` : `${status}, loss ${short(tile.loss[at])}`;
  return ["run", said, status === "converged" ? "converged" : "diverged"];
}
