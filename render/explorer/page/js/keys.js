// Buttons, keys, tabs, and stills dropped on the page.

import { $, copyText } from "./dom.js";

export function listen(app) {
  const acts = {
    back: () => history.back(),
    forward: () => history.forward(),
    home: () => app.showPlane(),
    box: () => boxZoom(app),
    surprise: () => app.surprise(),
    copy: () => app.copy(),
    share: () => { app.writeAddress(); copyText(location.href, "Address of this view"); },
    help: () => $("keys").showModal(),
    fold: () => app.fold(),
  };
  for (const [id, act] of Object.entries(acts)) $(id).onclick = act;
  const keys = {
    0: acts.home, b: acts.box, s: () => $("surprise").click(), c: acts.copy, l: acts.share, p: acts.fold, "?": acts.help,
    k: () => app.film.add(), z: () => $("undo").click(), r: () => $("ride").click(), escape: () => {
      app.film.preview.ride(false);
      if ($("map").classList.contains("boxing")) boxZoom(app);
    },
  };
  if (app.published) for (const key of ["s", "k", "z"]) delete keys[key];
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key.toLowerCase()];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  $("map").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== $("map")) return;
    event.preventDefault();
    const { x, y } = app.view.local;
    app.sample.show(x, y);
  });
  listenForTabs(app);
  if (!app.published) listenForFiles(app);
}

/** Tabs: a click, or the arrow keys, Home and End while one has the focus. */
function listenForTabs(app) {
  const names = ["film", "look", "sample"];
  names.forEach((name, i) => {
    const tab = $(`tab-${name}`);
    tab.onclick = () => app.showTab(name);
    tab.onkeydown = (event) => {
      const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: -1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = names.at(to % names.length);
      app.showTab(next);
      $(`tab-${next}`).focus();
    };
  });
}

/** The next drag on the map draws the box to zoom into, as shift + drag always does. */
function boxZoom(app) {
  const { map } = app;
  const box = $("map");
  const on = !box.classList.contains("boxing");
  box.classList.toggle("boxing", on);
  $("box").setAttribute("aria-pressed", String(on));
  map.dragging[on ? "disable" : "enable"]();
  box.removeEventListener("pointerdown", box.boxStart);
  if (!on) return;
  box.boxStart = (down) => drawBox(app, down);
  box.addEventListener("pointerdown", box.boxStart);
}

function drawBox(app, down) {
  const { map } = app;
  const box = $("map");
  const bounds = box.getBoundingClientRect();
  const at = (event) => globalThis.L.point(event.clientX - bounds.left, event.clientY - bounds.top);
  const start = at(down);
  const drawn = document.createElement("div");
  drawn.className = "leaflet-zoom-box";
  drawn.style.position = "absolute";
  box.append(drawn);
  const move = (event) => {
    const here = at(event);
    Object.assign(drawn.style, {
      left: `${Math.min(start.x, here.x)}px`, top: `${Math.min(start.y, here.y)}px`,
      width: `${Math.abs(here.x - start.x)}px`, height: `${Math.abs(here.y - start.y)}px`,
    });
  };
  const up = (event) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", up);
    drawn.remove();
    // The click that a browser makes of this drag is no question about a sample.
    const swallow = (click) => click.stopImmediatePropagation();
    box.addEventListener("click", swallow, { capture: true });
    setTimeout(() => box.removeEventListener("click", swallow, { capture: true }), 50);
    const here = at(event);
    boxZoom(app);
    if (start.distanceTo(here) > 8)
      map.fitBounds([map.containerPointToLatLng(start), map.containerPointToLatLng(here)], { animate: false });
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", up);
}

function listenForFiles(app) {
  const cover = $("drop");
  let depth = 0; // dragenter and dragleave come for every element passed
  const files = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => { if (files(event)) { depth++; cover.hidden = false; } });
  addEventListener("dragleave", (event) => { if (files(event) && --depth <= 0) { depth = 0; cover.hidden = true; } });
  addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    cover.hidden = true;
    if (event.dataTransfer.files[0]) app.dropped(event.dataTransfer.files[0]);
  });
}
