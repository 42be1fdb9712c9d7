// Reorder the items of a list by dragging their grips, with a mouse, a finger, or the arrow keys.

export function reorderable(list, move) {
  const index = (item) => [...list.children].indexOf(item);
  const under = (y) => [...list.children].findIndex((item) => y < item.getBoundingClientRect().bottom);

  list.addEventListener("pointerdown", (down) => {
    const item = down.target.closest(".grip")?.closest("li");
    if (!item) return;
    const from = index(item);
    const over = (event) => {
      const at = under(event.clientY);
      return at < 0 ? list.children.length - 1 : at;
    };
    const end = new AbortController();
    const on = (kind, act) => addEventListener(kind, act, { signal: end.signal });
    down.preventDefault();
    item.classList.add("dragged");
    const stop = (event) => {
      end.abort();
      item.classList.remove("dragged");
      for (const other of list.children) other.classList.remove("over");
      const to = over(event);
      if (event.type === "pointerup" && to !== from) move(from, to);
    };
    on("pointermove", (event) => {
      [...list.children].forEach((other, i) => other.classList.toggle("over", i === over(event) && i !== from));
    });
    on("pointerup", stop);
    on("pointercancel", stop);
  });

  list.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const grip = event.target.closest(".grip");
    if (!step || !grip) return;
    event.preventDefault();
    const from = index(grip.closest("li"));
    const to = from + step;
    if (to < 0 || to >= list.children.length) return;
    move(from, to);
    list.children[to].querySelector(".grip").focus();
  });
}
