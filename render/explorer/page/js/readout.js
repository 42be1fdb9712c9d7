// What is under the pointer, and what the trainer is doing.

import { $, define } from "./dom.js";
import { count, decades, positionText, rateText, short, valueText, widthText } from "./numbers.js";

const STATES = { idle: "idle", starting: "starting", training: "training", failed: "stopped" };

/** The line about the trainer. */
export function showActivity({ state: training, samples_per_s: rate, tiles_waiting: waiting, error, reference, text }) {
  const box = $("activity");
  const state = reference?.coming && training === "idle" ? "starting" : training;
  box.dataset.state = state;
  box.textContent = text ? text : reference ? `${reference.coming ? "past float64: " : ""}${reference.text}` : state === "failed" ? `training stopped: ${error}`
    : state === "training" ? `${rateText(rate)}, ${count(waiting)} tiles waiting`
    : state === "starting" ? `starting, ${count(waiting)} tiles waiting` : "nothing to train";
  box.title = reference ? box.textContent : STATES[state] + (error ? `: ${error}` : "");
}

/** The box over the map: where the pointer is, what happened there, how deep the view is. */
export function showReadout(app, pointer) {
  if (!app.scene) return;
  const { scene, view, ground, deep } = app;
  const [xAxis, yAxis] = scene.axes;
  const at = pointer ?? view.local;
  const rows = [];
  if (ground.inside(at)) {
    const exact = ground.root.fixed(at);
    const plain = ground.root.plain(at);
    const place = (axis, unit, value) => deep ? [axis.scale === "log10" ? `log10 ${axis.name}` : axis.name, positionText(axis, unit, view.width), "digits"]
      : [axis.name, valueText(axis, value, view.width)];
    rows.push(place(xAxis, exact[0], plain.x), place(yAxis, exact[1], plain.y));
    const sample = ground.sample(at.x, at.y, app.finest - ground.root.level);
    rows.push(sample ? ["ended", ...outcome(app, sample.tile, sample.at)] : ["ended", app.reference?.text ?? (app.published ? "not on this page" : "not stored yet"), "digits"]);
  }
  const zoomed = Math.max(0, -Math.log10(view.width));
  const left = decades((scene.last_plain_level ?? scene.deepest_level) - app.finest);
  const ends = app.published ? `${decades(scene.deepest_level - app.finest).toFixed(1)} to the last level`
    : deep ? "by differences" : `${left.toFixed(1)} left in float64`;
  rows.push(["view", `${widthText(xAxis, view.width)}, level ${app.finest}`]);
  rows.push(["zoomed", `${zoomed.toFixed(1)} decades, ${ends}`]);
  define($("readout"), rows);
}

/** How a sample's run ended, in words, and on which side of the border: the same wherever it is said. */
export function outcome(app, tile, at) {
  const status = app.statuses[tile.status[at]] ?? "?";
  const words = tile.escape[at] >= 0 ? `${status} at step ${tile.escape[at]}` : `${status}, loss ${short(tile.loss[at])}`;
  return [words, status === "converged" ? "converged" : "diverged"];
}
