// Saving: the keyframes become a scene file. An existing file is replaced only after the person has seen its contents and agreed.

import * as api from "./api.js";
import { $, showFault, toast } from "./dom.js";

export class Saving {
  constructor(app, film) {
    this.app = app;
    this.film = film;
    this.replacing = null;
    $("save").onclick = () => this.ask();
    $("save-cancel").onclick = () => $("saving").close();
    $("save-name").oninput = () => this.fresh();
    $("save-append").onclick = () => this.go(true);
    $("saving").querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      this.go(false);
    };
  }

  ask() {
    $("save-name").value = this.app.scene.name.replace(/[^A-Za-z0-9_-]+/g, "-").replace(/^-+|-+$/g, "") || "scene";
    this.fresh();
    $("saving").showModal();
    $("save-name").select();
  }

  /** Another name: what was agreed for the one before does not count. */
  fresh() {
    this.replacing = null;
    showFault($("save-fault"));
    $("save-text").hidden = $("save-append").hidden = true;
    $("save-go").textContent = "Save";
    $("save-where").textContent = `Goes to ${this.app.folder}/${$("save-name").value}.toml, with the comments of ${this.app.scene.name}.`;
  }

  /** The film is in a file now: if in that of the scene on show, this is the film that the scene has from here on. */
  async saved(name) {
    const { scene } = this.app;
    if (name === scene.name) scene.film = (await api.get("scene", { name })).film;
    this.film.unsaved.saved(scene);
  }

  async go(append) {
    const name = $("save-name").value;
    try {
      const saved = await api.post("save", { ...this.film.edit(), name, replacing: this.replacing, append });
      await this.saved(name); // before the dialog closes: until then nothing else changes the film
      $("saving").close();
      this.app.list(saved.scenes);
      toast(`Saved ${saved.path}. To film it: ${saved.command}`);
    } catch (fault) {
      showFault($("save-fault"), fault.message);
      if (fault.status !== 409) return;
      // Show what is there; a second press changes exactly that, and nothing newer.
      this.replacing = fault.answer.seen;
      $("save-text").textContent = fault.answer.text;
      $("save-text").hidden = $("save-append").hidden = false;
      const isSameScene = name === this.app.scene.name;
      showFault($("save-fault"), `${fault.message} It holds this. ${isSameScene ? "Replace its keyframes (its comments stay)," : "Replace all of it,"} or append to its keyframes?`);
      $("save-go").textContent = "Replace";
    }
  }
}
