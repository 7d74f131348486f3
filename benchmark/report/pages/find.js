// The search of the start page. Its index is a script, loaded when it is first needed: pages read from a folder may fetch nothing.
"use strict";

(() => {
  const MOST = 100;
  const box = document.getElementById("find");
  const words = box.querySelector("input[name=q]");
  const selects = [...box.querySelectorAll("select")];
  const list = box.querySelector(".hits");
  const status = box.querySelector(".found");
  let entries = null, waiting = false;

  function load() {
    if (entries || waiting) return;
    waiting = true;
    const script = document.createElement("script");
    script.src = "search.js";
    script.onload = () => {
      const index = window.searchIndex;
      entries = index.entries.map(([kind, title, about, page, ...facets]) => {
        const entry = { kind: index.words[kind], title, about, page };
        index.facets.forEach((name, place) => { entry[name] = index.words[facets[place]]; });
        entry.text = [entry.kind, title, about, ...index.facets.map((name) => entry[name])].join(" ").toLowerCase();
        return entry;
      });
      show();
    };
    document.head.append(script);
  }

  function show() {
    const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = selects.filter((select) => select.value);
    list.replaceChildren();
    status.textContent = "";
    if (!asked.length && !wanted.length) return;
    if (!entries) { load(); return; }
    const hits = entries.filter((e) => wanted.every((s) => e[s.name] === s.value) && asked.every((w) => e.text.includes(w)));
    // An entry whose title has all the words stands before one that only mentions them.
    const rank = (e) => (asked.every((w) => e.title.toLowerCase().includes(w)) ? 0 : 1);
    hits.sort((a, b) => rank(a) - rank(b));
    const more = hits.length > MOST ? `, the first ${MOST} shown` : "";
    status.textContent = `${hits.length} of ${entries.length} found${more}.`;
    for (const hit of hits.slice(0, MOST)) list.append(line(hit));
  }

  function line(hit) {
    const item = document.createElement("li");
    const anchor = document.createElement("a");
    anchor.href = hit.page;
    anchor.textContent = hit.title;
    const kind = document.createElement("span");
    kind.className = "kind";
    kind.textContent = hit.kind;
    const about = document.createElement("span");
    about.className = "faint";
    about.textContent = hit.about;
    item.append(kind, " ", anchor, " ");
    if (hit.verdict) {
      const chip = document.createElement("span");
      chip.className = "chip " + hit.verdict.replaceAll(" ", "-");
      chip.textContent = hit.verdict;
      item.append(chip, " ");
    }
    item.append(about);
    return item;
  }

  function remember() {
    const asked = new URLSearchParams();
    for (const field of [words, ...selects]) if (field.value) asked.set(field.name, field.value);
    const text = asked.toString();
    try { history.replaceState(null, "", text ? "?" + text : location.pathname); } catch { /* some browsers forbid it in folders */ }
  }

  box.hidden = false;
  const asked = new URLSearchParams(location.search);
  for (const field of [words, ...selects]) if (asked.has(field.name)) field.value = asked.get(field.name);
  for (const field of [words, ...selects]) {
    field.addEventListener("focus", load);
    field.addEventListener("input", () => { show(); remember(); });
  }
  box.querySelector(".clear").addEventListener("click", () => {
    for (const field of [words, ...selects]) field.value = "";
    show();
    remember();
    words.focus();
  });
  show();
})();
