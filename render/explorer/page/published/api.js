// The answers of the explorer's server, out of one file: this stands in its place on a published page.

import { fixed } from "./place.js";
import { positionText, valueText } from "./numbers.js";

export class Fault extends Error {}

/** Fetch a file beside this page. cache: as fetch takes it. Every failure becomes a Fault that names the file. */
export async function load(path, cache = "default") {
  let response;
  try {
    response = await fetch(path, { cache });
  } catch {
    throw new Fault(`${bare(path)} cannot be loaded: the server of this page does not answer.`);
  }
  if (!response.ok) throw new Fault(`${bare(path)} cannot be loaded: the server of this page answered ${response.status}.`);
  return response;
}

const bare = (path) => path.split("?")[0];

let loading = null;

/** Everything about this page but its samples. */
export function site() {
  loading ??= load("site.json", "no-cache").then((response) => response.json()).catch((fault) => {
    loading = null;
    throw fault instanceof Fault ? fault : new Fault("site.json cannot be read: it is not whole.");
  });
  return loading;
}

const absent = () => { throw new Fault("This is a published page: it shows what was trained, and trains nothing."); };

const ANSWERS = {
  start: ({ start }) => start,
  scene: ({ scene }) => scene,
  path: ({ path }) => path,
  depth: () => ({ warning: null }),
  palette: ({ palettes }, { name }) => {
    if (!(name in palettes)) throw new Fault(`This page has ${Object.keys(palettes).length} palettes, and ${name} is not among them.`);
    return palettes[name];
  },
  where: ({ scene: { axes } }, { x, y, width }) => [x, y].map((unit, i) => ({
    value: valueText(axes[i], Number(unit), width),
    log10: axes[i].scale === "log10" ? positionText(axes[i], fixed(unit), width) : null,
  })),
};

const answer = async (name, asked) => (ANSWERS[name] ?? absent)(await site(), asked);

export const get = answer;
export const post = answer;
export const postFile = answer;
export const postLines = answer;
