// The page on a film that is being made: asks once a second how far it is, and for the pictures that have changed.

import { get, getBlob } from "/page/js/api.js";
import { $, make } from "/page/js/dom.js";
import { count, duration, rateText } from "/page/js/numbers.js";

const EVERY_MS = 1000;
const AT_THE_END_MS = 200; // the server answers for a few seconds more

// So many questions without an answer, and the command is taken to have ended.
const MOST_UNANSWERED = 3;

const OVER = { finished: "The film is finished.", stopped: "", failed: "The film could not be finished. " };

let serial = -1;
let chosen = null; // the frame that a person looks at; null for the newest
let film = null;
let soon = 0;
const shown = new Map(); // image -> version of the picture in it

/** Show a frame's picture in an image, if it has changed. */
async function show(image, of, large) {
  const version = `${serial}/${of.frame}/${of.version}`;
  if (shown.get(image) === version || !of.version) return;
  const before = shown.get(image);
  shown.set(image, version);
  try {
    const blob = await getBlob("picture", { frame: of.frame, large: large ? 1 : 0, version: of.version });
    if (shown.get(image) !== version) return;
    const old = image.src;
    image.src = URL.createObjectURL(blob);
    if (old) URL.revokeObjectURL(old);
    image.hidden = false;
  } catch {
    shown.set(image, before); // asked again with the next state
  }
}

const time = (frame) => `${(frame / film.rate).toFixed(1)} s`;

/** What a frame's picture is made of, in words. */
function state(of, height_px) {
  if (of.done) return "finished";
  if (!of.version) return "not trained yet";
  const apart = height_px / of.rows;
  return apart <= 1 ? "trained" : `coarse, a training run every ${Math.round(apart)} pixels`;
}

function progress(now) {
  const training = now.samples_done < now.samples_total;
  const pace = now.left_s === null ? "" : `, ${rateText(now.per_s)}, ${duration(now.left_s)} left`;
  $("runs").value = now.samples_total ? now.samples_done / now.samples_total : now.phase === "training" ? 0 : 1;
  $("runs-text").textContent = now.samples_total
    ? `${count(now.samples_done)} of ${count(now.samples_total)}${training ? pace : ""}`
    : now.phase === "training" ? "" : "every one is stored";
  $("frames-done").value = now.frames_total ? now.frames_done / now.frames_total : 0;
  $("frames-done-text").textContent = `${count(now.frames_done)} of ${count(now.frames_total)}${training ? "" : pace}`;
}

/** What is going on: the one statement of this page, in the words of the terminal where that shows a step. */
function statement(now) {
  if (now.phase in OVER) return now.phase;
  if (now.what) return now.what;
  if (now.phase === "training") return now.samples_total ? "training" : "looking up what is stored";
  return now.phase === "frames" ? "making frames" : now.phase;
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;

function activity(now) {
  const states = { starting: "starting", training: "training", frames: "training", finished: "idle", stopped: "idle", failed: "failed" };
  const over = now.phase in OVER;
  $("activity").dataset.state = states[now.phase];
  const words = statement(now);
  if ($("activity").textContent !== words) $("activity").textContent = words; // read aloud only where it changes
  $("activity").title = words;
  $("nothing").textContent = sentence(words);
  $("nothing").hidden = over || !$("large").hidden;
  $("ended").hidden = !over;
  $("ended").dataset.phase = now.phase;
  if (over) $("ended").textContent = `${OVER[now.phase]}${now.what}`;
}

/** Lay out the page for another film. */
function begin(now) {
  serial = now.serial;
  chosen = null;
  shown.clear();
  $("strip").replaceChildren();
  $("large").hidden = true;
  film = { rate: now.frames_total / now.duration_s, height_px: now.size_px[1], aspect: `${now.size_px[0]} / ${now.size_px[1]}` };
  $("large").style.aspectRatio = film.aspect;
  $("name").textContent = now.name;
  $("facts").textContent = `${now.quality}, ${now.size_px.join(" x ")}, ${count(now.frames_total)} frames, ${now.duration_s.toFixed(1)} s`;
  document.title = `render: ${now.name}`;
  $("frame").max = Math.max(0, now.frames_total - 1);
  $("meters").hidden = $("whole").hidden = false;
}

function cell(of) {
  const still = make("span", { className: "still" }, make("img", { alt: "", hidden: true }));
  still.style.aspectRatio = film.aspect;
  return make("li", {}, make("button", { onclick: () => choose(of.frame) }, still, make("span", {})));
}

function strip(now) {
  if ($("strip").children.length !== now.strip.length) $("strip").replaceChildren(...now.strip.map(cell));
  now.strip.forEach((of, i) => {
    const button = $("strip").children[i].firstChild;
    const text = `${time(of.frame)}${of.done ? "" : of.version ? ", coarse" : ", not yet"}`;
    const label = `${text}: frame ${of.frame}, ${state(of, film.height_px)}`; // it begins with the visible text, by which users of speech input name the button
    button.className = of.done ? "" : "coarse";
    button.setAttribute("aria-pressed", String(chosen === of.frame));
    button.setAttribute("aria-label", label);
    button.title = label;
    button.lastChild.textContent = text;
    show(button.firstChild.firstChild, of, false);
  });
}

function large(now) {
  const of = now.large;
  if (!of) return;
  if (chosen === null) $("frame").value = of.frame;
  $("frame").setAttribute("aria-valuetext", `frame ${of.frame}, ${time(of.frame)}`);
  $("newest").setAttribute("aria-pressed", String(chosen === null));
  $("large").alt = `Frame ${of.frame} of ${now.name}`;
  const about = `frame ${count(of.frame)}, ${time(of.frame)}: ${state(of, film.height_px)}`;
  if (chosen !== null && !of.version) { // the picture on the page is of another frame
    $("large").hidden = true;
    shown.delete($("large"));
    $("nothing").textContent = sentence(about);
    $("nothing").hidden = false;
  }
  $("about").textContent = $("large").hidden ? "" : about;
  show($("large"), of, true);
}

function list(box, items, texts) {
  box.hidden = !texts.length;
  if (items.childElementCount !== texts.length || items.lastChild?.textContent !== texts.at(-1)) {
    items.replaceChildren(...texts.map((text) => make("li", {}, text)));
  }
}

let unanswered = 0;
let asking = false;
let over = false;

async function look() {
  clearTimeout(soon);
  if (asking) {
    soon = setTimeout(look, 100);
    return;
  }
  asking = true;
  let last = false;
  try {
    const now = await get("film", chosen === null ? {} : { frame: chosen });
    unanswered = 0;
    if (now.large && now.serial !== serial) begin(now);
    activity(now);
    if (film) {
      progress(now);
      strip(now);
      large(now);
    }
    list($("watchable"), $("films"), now.films.map((of) => `${of.path} (${of.quality})`));
    list($("noted"), $("notes"), now.notes);
    over = now.phase in OVER;
  } catch (fault) {
    unanswered += 1;
    last = over;
    if (!over && unanswered >= MOST_UNANSWERED) {
      $("activity").dataset.state = "idle";
      $("activity").textContent = "ended";
      $("ended").hidden = false;
      $("ended").textContent = fault.status ? fault.message : "The command that made this film has ended.";
      last = true;
    }
  } finally {
    asking = false;
  }
  if (!last) soon = setTimeout(look, over ? AT_THE_END_MS : EVERY_MS);
}

function choose(frame) {
  chosen = frame;
  if (frame !== null) $("frame").value = frame;
  look();
}

$("frame").oninput = () => choose(Number($("frame").value));
$("newest").onclick = () => choose(null);
addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "n" && !event.ctrlKey && !event.metaKey && !event.altKey) choose(null);
});
look();
