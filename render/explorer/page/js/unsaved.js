// What a person changed of a film and has not saved. The tab keeps it, so that loading the page again loses nothing.

const NAME = "render: changed film of ";

/** A browser that keeps nothing for a page (it may be set so) makes this do nothing. */
const attempt = (act) => {
  try {
    return act(globalThis.sessionStorage);
  } catch {
    return null;
  }
};

export class Unsaved {
  constructor() {
    this.close();
  }

  /** Keep nothing until a scene is opened. */
  close() {
    this.name = this.original = null;
  }

  /** Return what was changed of a scene's film, as a text; null for no change, or if the scene's file has changed since. */
  open(scene) {
    this.name = NAME + scene.name;
    this.original = JSON.stringify(scene.film);
    const kept = attempt((storage) => JSON.parse(storage.getItem(this.name)));
    return kept?.original === this.original ? kept.changed : null;
  }

  /** Keep a changed film, as a text; null for one that is as it was. */
  keep(changed) {
    if (this.name === null) return;
    if (changed === null) attempt((storage) => storage.removeItem(this.name));
    else attempt((storage) => storage.setItem(this.name, JSON.stringify({ original: this.original, changed })));
  }

  /** Forget what is kept: a file has it. scene: with the film that its own file has now. */
  saved(scene) {
    this.keep(null);
    this.original = JSON.stringify(scene.film);
  }
}
