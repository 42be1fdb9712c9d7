// The live connection: this page's view goes out, tiles and the trainer's state come in; a lost server is noticed.

import { socket } from "./api.js";

const MOST_WAIT_MS = 5000;

export class Live extends EventTarget {
  constructor() {
    super();
    this.serial = 0;
    this.view = null;
    this.wait = 250;
    this.connect();
    addEventListener("pagehide", () => { this.leaving = true; });
  }

  connect() {
    this.socket = socket();
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.wait = 250;
      this.emit("open");
      if (this.view) this.send();
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data !== "string") return this.emit("tile", data);
      const message = JSON.parse(data);
      this.emit(message.type, message);
    };
    this.socket.onclose = ({ code, reason }) => {
      if (this.leaving) return;
      this.emit("lost", { code, reason });
      setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(2 * this.wait, MOST_WAIT_MS);
    };
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Say what this page looks at now. Returns the view's serial number. */
  look(view) {
    this.view = { type: "view", serial: ++this.serial, ...view };
    this.send();
    return this.serial;
  }

  send() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(this.view));
  }

  forget(tiles) {
    if (tiles.length && this.socket.readyState === WebSocket.OPEN)
      for (let i = 0; i < tiles.length; i += 2000)
        this.socket.send(JSON.stringify({ type: "forget", tiles: tiles.slice(i, i + 2000) }));
  }
}
