// The comparison of two releases: what became of documents, what was changed, and which measured columns drifted.

const C = PAGE.comparison, H = PAGE.histograms;
const MODERATE = PAGE.moderate, LARGE = PAGE.large, SHOWN = 20;
const named = (text) => make("span", {class: "name"}, text);
const outcome = (name) => name === "kept" ? t("kept") : name === "not ingested" ? t("not ingested") : name;
const groupName = (name) => name === "all" ? t("all languages") : name === "*" ? t("other languages") : name;
const bound = (value) => value === null ? "—" : short(value);
const change = (a, b) => (b > a ? "+" : "") + number(b - a);
const two = (label, names, values) => chart(label, () => ({
  data: [[t("new"), 1], [t("old"), 0]].map(([name, k]) => ({type: "bar", orientation: "h", name, y: names.map(escapeText).reverse(), x: values.map((row) => row[k]).reverse(),
    marker: {color: palette(k)}, hovertemplate: "%{x:,}<extra>%{fullData.name}</extra>"})),
  layout: {barmode: "group", height: 120 + 44 * names.length, margin: {l: 8, r: 12, t: 30, b: 40}, legend: {traceorder: "reversed"}, xaxis: {title: {text: t("kept documents")}}}}));

function countsSection() {
  const names = [["read", t("records read")], ["ingested", t("documents")], ["kept", t("kept")], ["kept_tokens", t("tokens kept")]];
  const rows = names.map(([key, name]) => [name, C.old[key], C.new[key], change(C.old[key], C.new[key])]);
  for (const [name, [a, b]] of Object.entries(C.mixes)) rows.push([t("Mix {name}", {name}) + ", " + t("tokens"), a || 0, b || 0, change(a || 0, b || 0)]);
  const languages = sorted(C.languages, ([a, b]) => a + b), most = languages.slice(0, 12);
  section("counts", t("Counts"), "", table(["", t("old"), t("new"), t("difference")], rows),
    most.length ? two(t("Kept documents by language"), most.map(([name]) => name), most.map(([, row]) => row)) : null,
    languages.length ? table([t("language"), t("old"), t("new"), t("difference")], languages.map(([name, [a, b]]) => [name, a, b, change(a, b)])) : null);
}
function documentsSection() {
  const shown = C.changes.slice(0, SHOWN), name = (row) => `${outcome(row.from)} → ${outcome(row.to)}`;
  const parts = shown.length ? [chart(t("Documents by old and new outcome"), () => ({
    data: [{type: "bar", orientation: "h", y: shown.map((row) => escapeText(name(row))).reverse(), x: shown.map((row) => row.documents).reverse(),
      marker: {color: shown.map((row) => color(row.to === "kept" ? "kept" : row.from === "kept" ? "lost" : "grey")).reverse()}, hovertemplate: "%{x:,}<extra></extra>"}],
    layout: {height: 90 + 26 * shown.length, margin: {l: 8, r: 12, t: 10, b: 40}, xaxis: {title: {text: t("documents")}}}})),
  table([t("was"), t("is"), t("documents"), t("for example")], C.changes.map((row) => [named(outcome(row.from)), named(outcome(row.to)), row.documents,
    make("span", {class: "mono"}, row.examples.slice(0, 2).join(" "))]))] : [make("p", {}, t("No document has another outcome."))];
  if (C.texts) parts.push(make("p", {}, t("{n:,} documents that both releases keep have another text.", {n: C.texts})));
  section("documents", t("Documents"), t("Every document whose outcome differs: kept, dropped by a rule, or not among the inputs."), parts);
}
function changedSection() {
  const parts = [], steps = Object.entries(C.recipes);
  if (steps.length) parts.push(table([t("step"), t("what changed")], steps.map(([name, what]) => [named(name), what.join(", ")])));
  if (C.rules.length) parts.push(table([t("rule"), t("column"), t("side"), t("old"), t("new")], C.rules.map((row) => [named(row.rule), named(row.column), row.side, bound(row.old), bound(row.new)])));
  const words = {added: t("added"), removed: t("removed"), changed: t("changed")};
  const inputs = Object.entries(C.inputs).filter(([, names]) => names.length);
  if (inputs.length) parts.push(table([t("inputs"), t("files"), t("for example")], inputs.map(([kind, names]) => [words[kind], names.length, names.slice(0, 5).join(", ")])));
  section("changed", t("What was changed"), t("Steps with another recipe, thresholds of rules, and input files."), parts.length ? parts : [make("p", {}, t("Nothing."))]);
}

function driftOverview() {
  const rows = C.drift.filter((row) => row.language === "all").slice(0, SHOWN).reverse(), names = rows.map((row) => escapeText(row.column));
  const shade = (row) => color(row.psi <= row.chance ? "grey" : row.psi >= LARGE ? "lost" : row.psi >= MODERATE ? "alone" : "grey");
  const picture = (label, key, marks) => chart(label, () => {
    const drawn = marks.map(([value, name]) => line(value, name, "ink"));
    return {data: [{type: "bar", orientation: "h", y: names, x: rows.map((row) => row[key]), marker: {color: rows.map(shade)}, hovertemplate: "%{y}: %{x:.3f}<extra></extra>"}],
      layout: {title: {text: label, font: {size: 13}, x: 0.02, xanchor: "left"}, height: 130 + 24 * rows.length, margin: {l: 8, r: 12, t: 56, b: 40}, xaxis: {title: {text: key.toUpperCase()}, range: [0, 1.05 * Math.max(...rows.map((row) => row[key]), ...marks.map(([value]) => value), 0.01)]},
        shapes: drawn.map((l) => l.shape), annotations: drawn.map((l, i) => ({...l.note, yanchor: "bottom", yshift: 2, xanchor: i ? "left" : "right", xshift: i ? -3 : 3}))}};
  });
  return make("div", {class: "two"}, picture(t("population stability index, all languages"), "psi", [[MODERATE, String(MODERATE)], [LARGE, String(LARGE)]]), picture(t("Kolmogorov-Smirnov distance, all languages"), "ks", []));
}
function distributions(row) {
  const h = H[row.column][row.language], isInteger = PAGE.integers.includes(row.column), x = binsBetween(h.bins, 4, isInteger);
  const places = x.map((code) => binPlace(code, 4, isInteger));
  const sides = [[t("old"), h.old, "solid"], [t("new"), h.new, "dash"]].map(([name, counts, dash], k) => {
    const all = sum(counts), at = new Map(h.bins.map((code, i) => [code, counts[i]]));
    let below = 0;
    const shares = x.map((code) => 100 * (at.get(code) || 0) / all);
    return {name: `${name} (${number(all)})`, dash, shade: k, counts: x.map((code) => at.get(code) || 0), shares, cumulative: shares.map((s) => below += s)};
  });
  const ranges = x.map((code) => edgesOf(code, 4).map(short).join(" – "));
  const curve = (key) => sides.map((side) => ({type: "scatter", mode: "lines", name: side.name, x: places, y: side[key], line: {shape: "hvh", color: palette(side.shade), dash: side.dash, width: 2},
    customdata: ranges, hovertemplate: "%{customdata}: %{y:.1f} %<extra>%{fullData.name}</extra>"}));
  const gaps = x.map((_, i) => Math.abs(sides[0].cumulative[i] - sides[1].cumulative[i])), widest = gaps.indexOf(Math.max(...gaps));
  const axis = () => ({...binAxis(h.bins, 4, isInteger), title: {text: row.column}});
  return [chart(t("Kept documents by {column}, old and new", {column: row.column}), () => ({data: curve("shares"), layout: {height: 320, xaxis: axis(), yaxis: {title: {text: t("% of documents")}, rangemode: "tozero"}}}),
    [row.column, t("old"), t("new")], () => x.map((_, i) => [ranges[i], sides[0].counts[i], sides[1].counts[i]])),
  chart(t("Documents up to each value of {column}; the widest gap is the Kolmogorov-Smirnov distance", {column: row.column}), () => ({data: curve("cumulative"), layout: {height: 320, xaxis: axis(), yaxis: {title: {text: t("% of documents up to the value")}, range: [0, 101]},
    shapes: [{type: "line", x0: places[widest], x1: places[widest], y0: sides[0].cumulative[widest], y1: sides[1].cumulative[widest], line: {color: color("lost"), width: 3}}],
    annotations: [{x: places[widest], y: (sides[0].cumulative[widest] + sides[1].cumulative[widest]) / 2, text: `KS ${row.ks.toFixed(2)}`, showarrow: false, xanchor: "left", xshift: 6, font: {color: color("lost")}, bgcolor: color("paper")}]}}))];
}
function driftSection() {
  if (!C.drift.length) return;
  const columns = [...new Set([...C.drift.filter((row) => row.language === "all"), ...C.drift].map((row) => row.column))], holder = make("div", {class: "two"}), said = make("output", {"aria-live": "polite"});
  const column = make("select", {id: "column", "aria-label": t("Column")}, ...columns.map((name) => make("option", {value: name}, name)));
  const language = make("select", {id: "group", "aria-label": t("Language")});
  const show = () => {
    const rows = C.drift.filter((row) => row.column === column.value), before = language.value || "all";
    language.replaceChildren(...rows.map((row) => make("option", {value: row.language}, groupName(row.language))));
    language.value = rows.some((row) => row.language === before) ? before : rows[0].language;
    const row = rows.find((one) => one.language === language.value);
    said.textContent = t("PSI {psi} (by chance up to {chance}), KS {ks}; {old:,} documents before, {new:,} now.", {psi: row.psi.toFixed(3), chance: row.chance.toFixed(3), ks: row.ks.toFixed(3), old: row.old, new: row.new});
    charts = charts.filter((element) => !holder.contains(element));
    holder.replaceChildren(...distributions(row));
  };
  column.addEventListener("change", show);
  language.addEventListener("change", show);
  show();
  section("drift", t("Drift"), t("How far the distribution of each measured column over kept documents moved. A population stability index below 0.1 is small, above 0.25 large; the bins are tenths of the old release. Of few documents it is large by chance: one of a thousand pairs of samples without drift exceeds the number given as chance."),
    driftOverview(), make("h3", {}, t("Distributions")), make("div", {class: "controls"}, column, language, said), holder,
    make("details", {}, make("summary", {}, t("All columns")), table([t("column"), t("language"), "PSI", t("by chance"), "KS", t("old"), t("new")],
      C.drift.map((row) => [named(row.column), groupName(row.language), row.psi, row.chance, row.ks, row.old, row.new]))));
}

function render() {
  sections.length = 0;
  countsSection(); documentsSection(); changedSection(); driftSection();
  showSections(`${PAGE.names[0]} → ${PAGE.names[1]}`, t("bicorpus {version}", {version: PAGE.version}));
}
switches(render);
