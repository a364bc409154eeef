"use strict";
// Keys, and a grid that loads more by itself; every page works without this.

const items = () => [...document.querySelectorAll("a[data-item]")];

function columns() {
  const grid = document.getElementById("grid");
  return grid ? getComputedStyle(grid).gridTemplateColumns.split(" ").length : 1;
}

function move(steps) {
  const all = items();
  if (all.length === 0) return;
  const now = all.indexOf(document.activeElement);
  const next = now < 0 ? (steps > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + steps));
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.getElementById("q");
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const inGrid = document.activeElement.closest("#grid") !== null;
  if (event.key === "/") { search.focus(); search.select(); }
  else if (event.key === "j" || event.key === "ArrowRight") move(1);
  else if (event.key === "k" || event.key === "ArrowLeft") move(-1);
  else if (event.key === "ArrowDown" && inGrid) move(columns());
  else if (event.key === "ArrowUp" && inGrid) move(-columns());
  else return;
  event.preventDefault();
});

// A full page means that more is near; a search that found little goes on only when it is asked to.
let loading = false;
const seen = new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) load();
}, { rootMargin: "600px" });

async function load() {
  const more = document.getElementById("more");
  const grid = document.getElementById("grid");
  if (loading || !grid || !more || !("full" in more.dataset)) return;
  loading = true;
  try {
    const answer = await fetch(more.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    grid.append(...(page.getElementById("grid")?.children ?? []));
    const hadFocus = document.activeElement === more;
    document.getElementById("turn").replaceWith(page.getElementById("turn"));
    if (hadFocus) items().at(-1)?.focus();
    watch();
  } catch {
    // The link is there still.
  } finally {
    loading = false;
  }
}

function watch() {
  seen.disconnect();
  const more = document.getElementById("more");
  if (more && "full" in more.dataset) seen.observe(more);
}

watch();
