// Choosers, toggles and sorting. Without it, every table is shown whole.
"use strict";

function choose(box) {
  const wanted = {};
  for (const select of box.querySelectorAll("select")) wanted[select.name] = select.value;
  const views = [...box.querySelectorAll("section[data-profile]")];
  let shown = views.filter((v) => Object.keys(wanted).every((key) => v.dataset[key] === wanted[key]));
  box.querySelector(".none").hidden = shown.length > 0;
  for (const view of views) view.hidden = !shown.includes(view);
}

function toggle(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(pressed));
  button.closest(".views").classList.toggle("hide-" + button.dataset.part, !pressed);
}

function sort(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const key = (row) => row.children[column].dataset.value ?? row.children[column].textContent.trim();
  const before = [...body.rows];
  const rows = [...before].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // what has no number stays below
    const [p, q] = [Number(x), Number(y)];
    const order = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q;
    return ascending ? order : -order;
  });
  body.append(...rows);
  const printed = table.closest(".scroll")?.nextElementSibling; // the same rows, in blocks of columns
  for (const block of printed?.matches(".print") ? printed.querySelectorAll("tbody") : []) {
    const same = [...block.rows];
    block.append(...rows.map((row) => same[before.indexOf(row)]));
  }
}

// What a square of a picture says is shown beside it on hovering and on focus.
function explain() {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true"); // the square itself has these words as its name
  document.body.append(tip);
  let at = null;
  const place = () => {
    if (tip.hidden) return;
    const box = at.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8)) + "px";
    const below = box.bottom + 6;
    tip.style.top = (below + tip.offsetHeight < innerHeight ? below : box.top - tip.offsetHeight - 6) + "px";
  };
  const show = (event) => {
    at = event.target.closest?.("[data-said]");
    tip.hidden = !at;
    if (at) tip.textContent = at.dataset.said;
    place();
  };
  for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, show);
  document.addEventListener("focusout", () => { tip.hidden = true; });
  document.addEventListener("scroll", place, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
}

// A box that is wider than the window says so above, and fades out where there is more.
function hint(box) {
  const note = document.createElement("p");
  note.className = "hint";
  note.textContent = "Wider than the window: scroll sideways \u2192";
  note.setAttribute("aria-hidden", "true");
  box.before(note);
  const look = () => {
    note.hidden = box.scrollWidth <= box.clientWidth + 1;
    box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  };
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".scroll").forEach(hint);
  if (document.querySelector("[data-said]")) explain();
  for (const box of document.querySelectorAll(".views")) {
    for (const select of box.querySelectorAll("select")) select.addEventListener("change", () => choose(box));
    for (const button of box.querySelectorAll("button[data-part]")) button.addEventListener("click", () => toggle(button));
    if (box.querySelector("select")) choose(box);
  }
  for (const header of document.querySelectorAll("th button")) {
    header.addEventListener("click", () => sort(header.closest("th")));
  }
});
