// How samples are coloured: nothing here trains anything.

import * as api from "./api.js";
import { $, calmly, make, showFault } from "./dom.js";

export class LookPanel {
  constructor(app, start) {
    this.app = app;
    $("palettes").append(...start.palettes.map((name) => make("option", { value: name })));
    $("palette").onchange = () => this.setPalette($("palette").value.trim());
    $("palette").oninput = calmly(() => this.tryPalette($("palette").value.trim()), 200);
    $("gap").oninput = () => { this.app.look.gap = Number($("gap").value); this.showGap(); this.changed(); };
    $("channel").onchange = () => { this.app.look.channel = $("channel").value; this.app.recolour(); this.legend(); };
    $("ranks").onchange = () => { this.app.look.wholePlane = $("ranks").value === "plane"; this.app.lookAgain(); };
    $("detail").onchange = () => { this.app.look.detail = Number($("detail").value); this.app.lookAgain(); this.app.repaint(); };
    $("smoothing").onchange = () => {
      this.app.look.smoothing = $("smoothing").checked;
      document.body.classList.toggle("smooth", $("smoothing").checked);
      this.app.repaint();
    };
    $("training").onchange = () => { this.app.look.train = $("training").checked; this.app.lookAgain(); };
    this.changed = calmly(() => this.app.lookAgain(), 120);
    this.names = start.palettes;
  }

  /** Draw what only a person who opens this tab needs: a swatch of every palette, each a request. */
  opened() {
    this.swatches(this.names.splice(0));
  }

  /** Show the settings, after the scene or the address changed them. */
  async show() {
    const { look, scene } = this.app;
    $("channel").replaceChildren(...Object.entries(scene.channels).map(([value, { name }]) => make("option", { value }, name)));
    $("gap").value = look.gap;
    $("channel").value = look.channel;
    $("ranks").value = look.wholePlane ? "plane" : "view";
    $("detail").value = String(look.detail);
    this.showGap();
    await this.setPalette(look.palette);
  }

  showGap() {
    $("gap-value").textContent = `${Math.round(this.app.look.gap * 100)} %`;
    this.legend();
  }

  async setPalette(name) {
    $("palette").value = name;
    try {
      const { colours, remark } = await api.get("palette", { name });
      this.app.colours.setPalette(colours);
      this.app.look.palette = name;
      bar($("palette-preview"), colours);
      showFault($("palette-fault"));
      showFault($("palette-remark"), remark);
    } catch (fault) {
      showFault($("palette-fault"), fault.message);
      return;
    }
    for (const button of $("swatches").children) button.setAttribute("aria-pressed", String(button.title === name));
    this.legend();
    this.app.repaint();
    this.app.writeAddress();
  }

  /** Show the colours of what is in the box so far, where that is a palette already; the map changes with Enter. */
  async tryPalette(name) {
    const palette = await api.get("palette", { name }).catch(() => null);
    if (palette && $("palette").value.trim() === name) bar($("palette-preview"), palette.colours);
  }

  /** What the colours mean: one bar for each side of the boundary. */
  legend() {
    const { converged, diverged, sides, means } = this.app.scene.channels[this.app.look.channel];
    const { gap } = this.app.look;
    $("legend").replaceChildren(
      this.half("converged", sides[0], means[0], converged, gap, 1),
      this.half("diverged", sides[1], means[1], diverged, -gap, -1),
    );
  }

  half(kind, side, means, [near, far], from, to) {
    const bar = make("canvas", { width: 300, height: 1 });
    const context = bar.getContext("2d");
    for (let i = 0; i < 300; i++) {
      context.fillStyle = this.app.colours.css(from + (to - from) * i / 299);
      context.fillRect(i, 0, 1, 1);
    }
    const ends = make("div", { className: "ends" }, make("span", {}, near), make("span", {}, far ? `${far}: next to the border` : ""));
    return make("div", { className: `half ${kind}` }, make("span", {}, make("b", {}, side), `: ${means}`), bar, ends);
  }

  async swatches(names) {
    for (const name of names) {
      const strip = make("canvas", { width: 128, height: 1 });
      const button = make("button", { type: "button", title: name, onclick: () => this.setPalette(name) }, strip, name.split(":").pop());
      $("swatches").append(button);
      const { colours } = await api.get("palette", { name }).catch(() => ({ colours: [] }));
      bar(strip, colours);
      button.setAttribute("aria-pressed", String(name === this.app.look.palette));
    }
  }
}

/** Draw a palette along a canvas of one row. */
function bar(canvas, colours) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width && colours.length; x++) {
    context.fillStyle = `#${colours[Math.round(x / (canvas.width - 1) * (colours.length - 1))].toString(16).padStart(6, "0")}`;
    context.fillRect(x, 0, 1, 1);
  }
}
