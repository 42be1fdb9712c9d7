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
    this.scene = this.original = null;
  }

  /** Return what was changed of a scene's film, as a text, if its file still says the same of it; null for no change. */
  open(scene, original) {
    this.scene = scene;
    this.original = original;
    const kept = attempt((storage) => JSON.parse(storage.getItem(NAME + scene)));
    return kept?.original === original ? kept.changed : null;
  }

  keep(changed) {
    if (this.scene === null) return;
    if (changed === this.original) this.saved();
    else attempt((storage) => storage.setItem(NAME + this.scene, JSON.stringify({ original: this.original, changed })));
  }

  /** Forget it: a scene file has it, or it was taken back. */
  saved() {
    attempt((storage) => storage.removeItem(NAME + this.scene));
  }
}
