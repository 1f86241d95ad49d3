// The explorer: documents of a build, filtered by the server. Texts are only ever set as textContent.

const TOKEN = new URLSearchParams(location.hash.slice(1)).get("token") || sessionStorage.getItem("bicorpus-token") || "";
sessionStorage.setItem("bicorpus-token", TOKEN);
history.replaceState(null, "", location.pathname);

let about = null, wheres = [], sort = "", descending = true, offset = 0, pattern = "", regex = false, found = null, current = null, changes = {};
let asked = 0; // the number of the last question: answers to earlier ones are not shown

async function ask(name, body) {
  const answer = await fetch("/api/" + name, {method: "POST", headers: {"Content-Type": "application/json", "Accept-Language": LANG, Authorization: "Bearer " + TOKEN}, body: JSON.stringify(body || {})});
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error);
  $("problem").textContent = "";
  return data;
}
const complain = (error) => { $("problem").textContent = error.message; };
const attempt = (act) => async (...args) => { try { await act(...args); } catch (error) { complain(error); } };
const languageOf = (values) => values[about.language] || "";

// Filters
function setFilter(column, operator, value) {
  if (!wheres.some((w) => w.column === column && w.operator === operator && w.value === value)) wheres.push({column, operator, value});
  offset = 0;
  refresh();
}
const refresh = attempt(async () => { await Promise.all([showResults(), showFilters()]); });

async function showFilters() {
  const column = make("select", {"aria-label": t("Column"), id: "where-column"}, make("option", {value: "fails"}, t("fails the rule")), ...about.columns.map((c) => make("option", {value: c.name}, c.name)));
  column.value = "rule";
  const operator = make("select", {"aria-label": t("Comparison"), id: "where-operator"}, ...about.operators.map((o) => make("option", {value: o}, t(o))));
  const value = make("input", {type: "text", id: "where-value", "aria-label": t("Value"), size: 12});
  const add = make("form", {class: "row", onsubmit: (event) => { event.preventDefault(); setFilter(column.value, operator.value, value.value); }}, column, operator, value, make("button", {id: "where-add"}, t("Add filter")));
  const order = make("select", {id: "sort", "aria-label": t("Sort by")}, make("option", {value: ""}, t("in the order of the store")), ...about.columns.map((c) => make("option", {value: c.name}, c.name)));
  order.value = sort;
  order.addEventListener("change", () => { sort = order.value; offset = 0; refresh(); });
  const down = make("button", {type: "button", "aria-label": t("Direction of the order"), onclick: () => { descending = !descending; refresh(); }}, descending ? "↓" : "↑");
  const columns = [...new Set(["rule", about.language, "source", "domain.label", "signals.form", "license"].filter((c) => c && about.columns.some((known) => known.name === c)))];
  const counts = await ask("facets", {where: wheres, columns});
  const facets = columns.filter((c) => counts[c].length > 0).map((c) => make("div", {class: "facet"}, make("h3", {}, c), ...counts[c].slice(0, 14).map(([v, n]) =>
    make("button", {type: "button", "data-facet": c, "data-value": v === null ? "" : v, onclick: () => v === null ? setFilter(c, "null", "") : setFilter(c, "=", v)},
      make("span", {}, v === null ? (c === "rule" ? t("kept") : t("(none)")) : v), make("span", {}, number(n))))));
  const isOpen = $("facets") ? $("facets").open : window.matchMedia("(min-width: 62rem)").matches; // closed at first on a small screen
  $("filters").replaceChildren(make("details", {id: "facets", open: isOpen}, make("summary", {}, make("b", {}, t("Filter"))), add, make("div", {class: "row"}, order, down), ...facets));
}

// Results
async function showResults() {
  const mine = ++asked;
  const search = make("input", {type: "search", id: "pattern", "aria-label": t("Search in texts"), placeholder: t("Search in texts")});
  search.value = pattern;
  const box = make("input", {type: "checkbox", id: "regex"});
  box.checked = regex;
  const form = make("form", {class: "row", role: "search", onsubmit: (event) => { event.preventDefault(); pattern = search.value; regex = box.checked; found = null; refresh(); }},
    search, make("label", {}, box, " " + t("regular expression")), make("button", {id: "go"}, t("Search")));
  const chips = make("div", {class: "chips"}, ...wheres.map((w, i) => make("button", {type: "button", class: "chip", "aria-label": t("Remove the filter {filter}", {filter: `${w.column} ${w.operator} ${w.value}`}),
    onclick: () => { wheres.splice(i, 1); offset = 0; found = null; refresh(); }}, `${w.column} ${t(w.operator)} ${w.value} ×`)));
  const list = make("div", {id: "list"}), foot = make("div", {class: "row"});
  if (pattern) {
    const answer = await ask("search", {where: wheres, pattern, regex, after: found ? found.next : null});
    if (mine !== asked) return;
    found = {next: answer.next, rows: [...(found ? found.rows : []), ...answer.rows], hits: {...(found ? found.hits : {}), ...Object.fromEntries(answer.found.map((h) => [h.row, h.excerpt]))}, searched: answer.searched, total: answer.total};
    list.append(make("p", {class: "soft", id: "count"}, t("{found:,} documents found; {searched:,} of {total:,} searched", {found: found.rows.length, searched: found.searched, total: found.total})), ...found.rows.map((row) => hit(row, found.hits[row.row])));
    if (found.next !== null) foot.append(make("button", {type: "button", id: "more", onclick: attempt(showResults)}, t("Go on searching")));
  } else {
    const answer = await ask("rows", {where: wheres, sort, descending, offset, columns: sort ? [sort] : []});
    if (mine !== asked) return;
    list.append(make("p", {class: "soft", id: "count"}, t("{n:,} documents", {n: answer.total})), ...answer.rows.map((row) => hit(row, "")));
    if (offset) foot.append(make("button", {type: "button", onclick: () => { offset = Math.max(0, offset - 50); refresh(); }}, t("← Previous page")));
    if (offset + 50 < answer.total) foot.append(make("button", {type: "button", id: "next", onclick: () => { offset += 50; refresh(); }}, t("Next page →")));
    fillExcerpts(answer.rows.map((row) => row.row), list).catch(complain);
  }
  $("results").replaceChildren(form, chips, list, foot);
}
function hit({row, values}, excerpt) {
  const facts = [languageOf(values), values.source, sort && !["doc_id", "source", "rule", about.language].includes(sort) ? `${sort} ${short(values[sort])}` : ""].filter(Boolean).join(" · ");
  return make("button", {type: "button", class: "hit", "data-row": row, "aria-current": String(current === row), onclick: attempt(() => openDocument({row}))},
    make("span", {class: "facts"}, make("b", {class: values.rule ? "lost" : "kept"}, values.rule || t("kept")), " · " + facts + " · ", make("span", {class: "mono"}, values.doc_id)), make("span", {class: "excerpt"}, excerpt));
}
async function fillExcerpts(rows, holder) { // in small requests, so that the first texts do not wait for the last
  for (let i = 0; i < rows.length; i += 10) {
    const some = rows.slice(i, i + 10), texts = await ask("excerpts", {rows: some});
    for (const row of some) { const element = holder.querySelector(`[data-row="${row}"] .excerpt`); if (element) element.textContent = texts[row]; }
  }
}

// A document
async function openDocument(which) {
  const doc = await ask("document", which);
  current = doc.row_number;
  for (const element of document.querySelectorAll(".hit")) element.setAttribute("aria-current", String(Number(element.dataset.row) === current));
  const text = make("pre", {id: "text", dir: "auto", tabindex: "0"}), state = {doc, start: 0, length: 20000, total: 0, at: -1};
  const place = make("span", {class: "soft", id: "window"});
  const go = (start, at = -1) => attempt(async () => { state.start = Math.max(0, start); state.at = at; await showText(state, text, place); })();
  const failed = doc.rules.filter((r) => r.fails), head = doc.document;
  const part = (title, ...children) => children.length ? make("details", {open: true}, make("summary", {}, make("b", {}, title)), ...children) : null;
  const origin = make("p", {class: "soft"}, `${head.source} · ${head.input}:${head.input_row}` + (head.url ? " · " : ""), head.url || "", head.license ? ` · ${head.license}` : "");
  const spans = doc.spans.slice(0, 300).map((span, i) => make("tr", {}, make("td", {class: "text name"}, span.label || span.column), make("td", {class: "text name"}, span.column),
    make("td", {}, make("button", {type: "button", class: "span", onclick: () => go(Math.max(0, span.start - 200), i)}, `${number(span.start)}–${number(span.end)}`)),
    make("td", {class: "text"}, span.edit ? (span.replacement ? `→ ${span.replacement}` : t("removed at release")) : "")));
  const spanTable = make("div", {class: "scroll"}, make("table", {}, make("tbody", {}, ...spans)));
  $("document").replaceChildren(
    make("div", {class: "row"}, make("h2", {class: "mono", style: "flex:1;overflow-wrap:anywhere"}, doc.doc_id), make("button", {type: "button", id: "close", onclick: closeDocument}, t("Close"))),
    make("p", {}, make("b", {class: doc.keep ? "kept" : "lost"}, doc.keep ? t("kept") : t("dropped by {rule}", {rule: doc.rule}))), origin,
    ...failed.map((rule) => ruleBox(rule, rule.name === doc.rule)), keeperBox(doc),
    make("div", {class: "row"}, make("b", {style: "flex:1"}, t("Text")), place, make("button", {type: "button", onclick: () => go(state.start - state.length)}, "←"), make("button", {type: "button", id: "later", onclick: () => { if (state.start + state.length < state.total) go(state.start + state.length); }}, "→")), text,
    ...[doc.n_spans ? part(t("Spans: {n:,}", {n: doc.n_spans}), spanTable) : null,
      doc.cluster.length > 1 ? part(t("Cluster of {n:,} documents", {n: doc.cluster_size || doc.cluster.length}), ...doc.cluster.map((m) => make("div", {class: "row"}, documentButton(m.doc_id), make("span", {class: m.keep ? "kept" : "lost"}, m.keep ? t("kept") : m.rule), make("span", {class: "soft"}, m.source, m.similarity === null ? "" : ` · ${short(m.similarity)}`)))) : null,
      make("details", {}, make("summary", {}, make("b", {}, t("Every rule"))), table([t("rule"), t("action"), t("verdict"), t("condition")], doc.rules.map((r) => [r.name, t(r.action), r.fails ? t("fails") : r.applies ? t("passes") : t("does not apply"), r.conditions.map(condition).join("; ")]))),
      make("details", {}, make("summary", {}, make("b", {}, t("Every annotation"))), table([t("column"), t("value")], Object.entries(doc.annotations).map(([name, value]) => [name, make("code", {}, String(typeof value === "object" ? JSON.stringify(value) : value).slice(0, 2000))])))].filter(Boolean));
  $("document").hidden = false;
  $("layout").classList.add("open");
  $("document").scrollTop = 0;
  await showText(state, text, place);
}
function closeDocument() { $("document").hidden = true; $("layout").classList.remove("open"); current = null; }
const documentButton = (id) => make("button", {type: "button", class: "mono", onclick: attempt(() => openDocument({doc_id: id}))}, id);
const limits = (c) => ["min", "max"].filter((k) => c[k] !== undefined).map((k) => `${k} ${short(c[k])}`).concat(c.in ? [`in ${c.in.join(", ")}`] : [], c.not_in ? [`not_in ${c.not_in.join(", ")}`] : []).join(", ");
const condition = (c) => `${c.column} ${short(Array.isArray(c.value) ? JSON.stringify(c.value).slice(0, 80) : c.value)} (${limits(c)}${c.margin === undefined || c.margin === null ? "" : `, ${t("margin")} ${short(c.margin)}`})`;
function ruleBox(rule, isReason) {
  const bounds = about.bounds.filter((b) => b.rule === rule.name);
  return make("div", {class: "failed" + (rule.action === "drop" ? "" : " flag")}, make("b", {}, rule.name), " ", make("span", {class: "tag"}, isReason ? t("the reason") : rule.action === "drop" ? t("fails") : t(rule.action)),
    rule.meaning ? make("div", {class: "soft"}, t(rule.meaning)) : null, ...rule.conditions.map((c) => make("div", {}, condition(c))),
    bounds.length ? make("button", {type: "button", onclick: () => showThreshold(bounds[0])}, t("Move its threshold")) : null);
}
const KINDS = {raw: "the same text", exact: "the same text except for width, case, marks or script", near: "a near duplicate"};
function keeperBox(doc) {
  if (doc.keeper) {
    const k = doc.keeper, box = make("div", {class: "failed"}, make("b", {}, t("Removed in favour of")), " ", documentButton(k.doc_id), make("div", {}, `${t(KINDS[k.kind])} · ${short(k.similarity)}` + (k.threshold ? ` · ${t("threshold {value}", {value: k.threshold})}` : "")));
    if (k.differences.length) box.append(table([t("removed"), t("kept")], k.differences.slice(0, 12).map((d) => [d.removed, d.kept])));
    return box;
  }
  const kept = doc.kept_for;
  return kept && kept.copies ? make("div", {}, make("b", {}, t("Kept for {n:,} duplicates", {n: kept.copies})), ...kept.some.map((c) => make("div", {class: "row"}, documentButton(c.doc_id), t(KINDS[c.kind] || c.kind), short(c.similarity)))) : make("span", {});
}
async function showText(state, element, place) {
  const answer = await ask("text", {row: state.doc.row_number, start: state.start, length: state.length});
  state.total = answer.total;
  state.start = answer.start;
  const chars = [...answer.text], end = answer.start + chars.length; // spans count code points, as this array does
  const spans = state.doc.spans.map((s, i) => ({...s, i})).filter((s) => s.start < end && s.end > answer.start && (s.marked || s.i === state.at || s.end - s.start < 0.95 * answer.total));
  const cuts = [...new Set([answer.start, end, ...spans.flatMap((s) => [Math.max(s.start, answer.start), Math.min(s.end, end)])])].sort((a, b) => a - b);
  const pieces = [];
  for (let k = 0; k + 1 < cuts.length; k++) {
    const text = chars.slice(cuts[k] - answer.start, cuts[k + 1] - answer.start).join(""), over = spans.filter((s) => s.start <= cuts[k] && s.end >= cuts[k + 1]);
    pieces.push(over.length ? make("mark", {class: (over.some((s) => s.edit) ? "edit" : over.every((s) => !s.marked) ? "where" : "") + (over.some((s) => s.i === state.at) ? " at" : ""), title: over.map((s) => `${s.column}: ${s.label}${s.edit ? (s.replacement ? " → " + s.replacement : " ×") : ""}`).join("\n")}, text) : document.createTextNode(text));
  }
  element.replaceChildren(...pieces);
  const at = element.querySelector("mark.at");
  if (at) { element.scrollTop = at.offsetTop - element.offsetTop - 60; at.scrollIntoView({block: "nearest"}); } else element.scrollTop = 0;
  place.textContent = `${number(answer.start)}–${number(end)} / ${number(answer.total)}`;
}

// A threshold that is moved
function showThreshold(bound) {
  closeDocument();
  const select = make("select", {id: "bound", "aria-label": t("Threshold")}, ...about.bounds.map((b, i) => make("option", {value: i}, `${b.rule}: ${b.column} ${b.side === "min" ? "≥" : "≤"} ${short(b.value)}`)));
  select.value = String(bound ? about.bounds.indexOf(bound) : 0);
  const value = make("input", {type: "number", step: "any", id: "bound-value", "aria-label": t("New value")}), slider = make("input", {type: "range", min: -100, max: 100, step: 1, id: "bound-slider", "aria-label": t("Move the threshold")});
  const out = make("div", {id: "moved", "aria-live": "polite"});
  const chosen = () => about.bounds[Number(select.value)], key = (b) => `${b.rule} ${b.place}`;
  const isInteger = (b) => (about.columns.find((c) => c.name === b.column) || {}).integer;
  const reset = () => { const b = chosen(); value.value = String(changes[key(b)] ? changes[key(b)].value : b.value); slider.value = "0"; compute(); };
  slider.addEventListener("input", () => { const b = chosen(), step = b.value === 0 ? Number(slider.value) / 100 : b.value * 4 ** (Number(slider.value) / 100); value.value = String(isInteger(b) ? Math.round(step) : Number(step.toPrecision(4))); });
  const compute = attempt(async () => {
    const b = chosen(), to = Number(value.value), mine = ++asked;
    const answer = await ask("threshold", {rule: b.rule, place: b.place, value: to});
    if (mine !== asked) return;
    if (to === b.value) delete changes[key(b)]; else changes[key(b)] = {rule: b.rule, place: b.place, value: to};
    const column = (title, part, id, shade) => make("div", {class: "panel"}, make("h3", {id, class: shade}, title), make("p", {class: "soft"}, t("{size} of text", {size: megabytes(part.bytes)}) + (part.tokens === null ? "" : " · " + t("{n:,} tokens", {n: part.tokens})) + (part.languages.length ? " · " + part.languages.map(([l, n]) => `${l} ${number(n)}`).join(", ") : "")), ...part.rows.map((row) => hit(row, "")));
    const n = Object.keys(changes).length;
    out.replaceChildren(make("p", {}, t("{fails:,} documents fail the rule instead of {failed:,}.", answer) + " " + (answer.action === "drop" ? t("Duplicates and quantiles are not decided again.") : t("This rule drops nothing."))),
      column(answer.action === "drop" ? t("{n:,} documents come back", {n: answer.back.documents}) : t("{n:,} documents do not fail it any more", {n: answer.back.documents}), answer.back, "back", "kept"),
      column(answer.action === "drop" ? t("{n:,} documents are lost", {n: answer.lost.documents}) : t("{n:,} more documents fail it", {n: answer.lost.documents}), answer.lost, "lost-count", "lost"),
      make("div", {class: "row"}, make("button", {type: "button", id: "download", disabled: !n, onclick: attempt(download)}, t("Download the run file with {n:,} changes", {n})), n ? make("span", {class: "soft"}, Object.values(changes).map((c) => `${c.rule} ${short(c.value)}`).join(", ")) : ""));
    fillExcerpts([...answer.back.rows, ...answer.lost.rows].map((row) => row.row), out).catch(complain);
  });
  select.addEventListener("change", reset);
  value.addEventListener("change", compute);
  slider.addEventListener("change", compute);
  $("results").replaceChildren(make("div", {class: "row"}, make("h2", {style: "flex:1"}, t("Move a threshold")), make("button", {type: "button", id: "back-to-list", onclick: () => refresh()}, t("Back to the documents"))),
    make("div", {class: "panel"}, make("div", {class: "row"}, select), make("div", {class: "row"}, value, slider)), out);
  if (about.bounds.length) reset(); else out.textContent = t("No rule of this run has a fixed threshold.");
}
async function download() {
  const {text} = await ask("run-file", {changes: Object.values(changes)});
  const link = make("a", {href: URL.createObjectURL(new Blob([text], {type: "application/yaml"})), download: about.run.split("/").pop().replace(/(\.ya?ml)?$/, "-changed.yaml")});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const render = attempt(async () => {
  about ||= await ask("about");
  document.title = `bicorpus · ${about.release}`;
  $("title").textContent = about.release;
  $("facts").textContent = t("corpus {corpus}, {n:,} documents, {run}", {corpus: about.corpus, n: about.rows, run: about.run});
  $("show-threshold").textContent = t("Move a threshold");
  await refresh();
});
$("show-threshold").addEventListener("click", () => showThreshold(null));
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !$("document").hidden) closeDocument(); });
switches(render);
