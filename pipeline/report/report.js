// The report of a release: sections from its numbers, charts, and thresholds that can be moved.

const N = PAGE.numbers, HELD = PAGE.held, TIMES = PAGE.times;
const KEPT = "kept";
const BENCHMARK_HITS = ["decontaminate.hits", "paraphrases.hits"];
const isDrop = (name) => N.rules.includes(name);
const columnIsInteger = (column) => PAGE.integers.includes(column);
const reasons = () => {
  const counts = {};
  for (const row of Object.values(N.funnel))
    for (const [name, n] of Object.entries(row)) if (name !== KEPT) counts[name] = (counts[name] || 0) + n;
  return sorted(counts, (n) => n);
};
const ruleOf = (name) => N.rule_counts.find((row) => row.rule === name);
const samplesOf = (name, side) => N.rule_samples.filter((row) => row.rule === name && row.side === side);
const link = (name) => ruleOf(name) ? make("a", {href: "#rule-" + encodeURIComponent(name)}, name) : document.createTextNode(name);
const meaning = (name) => PAGE.meanings[name] ? t(PAGE.meanings[name]) : "";
// Samples: each document is shown once with an anchor, and named elsewhere by a link to it.
let anchored = new Set();
function documentLink(id) {
  return [...N.rule_samples, ...((N.buckets || {}).samples || [])].some((s) => s.doc_id === id)
    ? make("a", {href: "#doc-" + id, class: "mono"}, id) : make("span", {class: "mono", title: "bicorpus explain RUN.yaml " + id}, id);
}
function sample(row) {
  const facts = [row.language, row.source, row.column ? `${row.column} ${short(row.value)} (${t("threshold {value}", {value: short(row.bound)})})` : "",
    row.keep ? t("kept") : row.alone ? t("dropped by this rule alone") : t("dropped")].filter(Boolean).join(" · ");
  const id = anchored.has(row.doc_id) ? null : "doc-" + row.doc_id;
  anchored.add(row.doc_id);
  return make("div", {class: "sample", id}, make("span", {class: "facts"}, make("span", {class: "mono"}, row.doc_id), " · " + facts), row.text.length < 320 ? row.text : row.text + "…");
}

// What another threshold would do, from stored counts.
function moved(bound, code) { // documents that come back, documents that are lost, and the threshold, at a bin
  const [low, high] = edgesOf(code);
  const value = bound.side === "max" ? high : columnIsInteger(bound.column) ? Math.floor(low) + 1 : low + (high - low) / 100;
  let back = 0, backBytes = 0, lost = 0, lostBytes = 0;
  bound.bins.forEach((bin, i) => {
    const fails = bound.side === "min" ? bin < code : bin > code;
    if (fails) { lost += bound.kept[i]; lostBytes += bound.kept_bytes[i]; }
    else { back += bound.alone[i]; backBytes += bound.alone_bytes[i]; }
  });
  return {value, back, backBytes, lost, lostBytes};
}
function loosened(bound) { // the closest threshold that brings a quarter of the documents back that this rule alone drops
  const total = sum(bound.alone);
  if (!total || bound.value === null) return null;
  const order = bound.side === "min" ? [...bound.bins].reverse() : bound.bins;
  for (const code of order) { const found = moved(bound, code); if (found.back >= total / 4) return found; }
  return null;
}
function whatIf(bound) {
  const isInteger = columnIsInteger(bound.column), codes = binsBetween([...bound.bins, Math.max(...bound.bins) + 1], 1, isInteger);
  const at = bound.value === null ? null : binOf(bound.value), places = codes.map((code) => binPlace(code, 1, isInteger));
  const slider = make("input", {type: "range", min: 0, max: codes.length - 1, "aria-label": t("Threshold of {rule}", {rule: bound.rule}) });
  slider.value = String(at === null ? 0 : Math.max(0, codes.findIndex((code) => code >= Math.min(at, codes[codes.length - 1]))));
  const said = make("output", {"aria-live": "polite"});
  const dense = (values) => codes.map((code) => { const i = bound.bins.indexOf(code); return i < 0 ? 0 : values[i]; });
  let place = bound.value;
  const figure = chart(t("Documents by {column}: kept, dropped by this rule alone, dropped by others", {column: bound.column}), () => {
    const lines = [[bound.value, t("now"), "ink"], [place, t("moved"), "accent"]].filter(([value], i) => value !== null && (i === 0 || value !== bound.value))
      .map(([value, name, shade]) => line(placeOf(value, 1, isInteger), name, shade));
    const bar = (name, values, shade) => ({type: "bar", name, x: places, y: dense(values), width: 1, marker: {color: color(shade)},
      customdata: codes.map((c) => edgesOf(c).map(short).join(" – ")), hovertemplate: "%{customdata}: %{y:,}<extra>%{fullData.name}</extra>"});
    return {data: [bar(t("kept"), bound.kept, "kept"), bar(t("by this rule alone"), bound.alone, "alone"), bar(t("by other rules"), bound.others, "grey")],
      layout: {barmode: "stack", height: 260, xaxis: {...binAxis(codes, 1, isInteger), title: {text: bound.column}},
        shapes: lines.map((l) => l.shape), annotations: lines.map((l) => l.note)}};
  }, [bound.column, t("kept"), t("by this rule alone"), t("by other rules")],
  () => bound.bins.map((code, i) => [edgesOf(code).map(short).join(" – "), bound.kept[i], bound.alone[i], bound.others[i]]));
  const say = () => {
    const found = moved(bound, codes[Number(slider.value)]);
    place = found.value;
    said.textContent = t("{column} {sign} {value}: {back:,} documents ({size}) come back, {lost:,} ({gone}) are lost.", {column: bound.column,
      sign: bound.side === "min" ? "≥" : "≤", value: short(found.value), back: found.back, size: megabytes(found.backBytes), lost: found.lost, gone: megabytes(found.lostBytes)});
    const element = figure.querySelector(".chart");
    if (element.data) draw(element);
  };
  slider.addEventListener("input", say);
  if (bound.value === null) said.textContent = t("A quantile: its bound differs by group; here it is moved for all of them.");
  return make("div", {class: "whatif"}, figure, make("label", {}, t("Move the threshold: {column}", {column: bound.column}), slider), said,
    bound.action === "drop" ? null : make("p", {class: "soft"}, t("This rule drops nothing: the documents it would take are counted as lost.")));
}

// The first screen
function firstScreen() {
  const c = N.counts, lost = reasons(), top = lost.slice(0, 5);
  const heads = [[c.read, t("records read")], [c.ingested, t("documents")], [c.kept, t("kept")], [c.kept_tokens, t("tokens kept")],
    [c.dropped, t("dropped")], [c.quarantined, t("in quarantine")]];
  const parts = [make("div", {class: "numbers"}, ...heads.map(([n, name]) => make("div", {}, make("b", {}, number(n)), name)))];
  const rest = sum(lost.slice(5).map(([, n]) => n));
  const bar = [[t("kept"), c.kept, "--kept"], ...top.map(([name, n], i) => [name, n, i]), ...(rest ? [[t("other reasons"), rest, "--grey"]] : [])];
  const shade = (value) => typeof value === "string" ? `var(${value})` : `var(--reason-${value})`;
  parts.push(make("div", {class: "bar", role: "img", "aria-label": bar.map(([name, n]) => `${name} ${share(n, c.ingested)}`).join(", ")},
    ...bar.map(([, n, tone]) => { const e = make("span", {}); e.style.cssText = `width:${100 * n / Math.max(c.ingested, 1)}%;background:${shade(tone)}`; return e; })));
  parts.push(make("div", {class: "legend"}, ...bar.map(([name, n, tone]) => { const i = make("i", {}); i.style.background = shade(tone);
    return make("span", {}, i, `${name} ${number(n)} (${share(n, c.ingested)})`); })));
  for (const warning of N.warnings) parts.push(make("p", {class: "warning"}, make("b", {}, t("Look at this:") + " "), PAGE.warnings[warning] && LANG === "zh" ? PAGE.warnings[warning] : warning));
  for (const [name, n] of top) parts.push(reason(name, n));
  section("lost", t("What was lost"), t("{lost:,} of {all:,} documents were dropped ({share}); the most frequent reasons, with documents that they took, and what to change.",
    {lost: c.dropped, all: c.ingested, share: share(c.dropped, c.ingested)}), parts);
}
function reason(name, n) {
  const rule = ruleOf(name), parts = [make("h3", {}, link(name), ` · ${number(n)} (${share(n, N.counts.ingested)})`)];
  if (meaning(name)) parts.push(make("div", {class: "soft"}, meaning(name)));
  for (const text of advice(name, rule, n)) parts.push(make("p", {class: "advice"}, text));
  const taken = rule ? samplesOf(name, "taken").slice(0, 3).map(sample) : pairs().filter((pair) => pair.verified).slice(0, 3).map(pairBox);
  if (taken.length) parts.push(make("details", {open: true}, make("summary", {}, t("Documents that it took")), ...taken));
  return make("div", {class: "reason"}, ...parts);
}
function advice(name, rule, n) {
  const said = [];
  if (!rule) {
    if (name === PAGE.duplicate) said.push(t("Another document of each cluster is kept. Read the pairs around the threshold, and move `threshold` of the step that verifies pairs if they are no duplicates."));
    return said;
  }
  const found = N.bounds.filter((bound) => bound.rule === name).map((bound) => [bound, loosened(bound)]).find(([, move]) => move);
  if (rule.alone < n / 10)
    said.push(t("Only {share} of them fail no other rule, so loosening this one alone changes little.", {share: share(rule.alone, n)}));
  else if (found)
    said.push(t("{share} fail no other rule. With {column} {sign} {value} instead of {old}, {back:,} documents ({size}) come back.", {share: share(rule.alone, n),
      column: found[0].column, sign: found[0].side === "min" ? "≥" : "≤", value: short(found[1].value), old: short(found[0].value), back: found[1].back, size: megabytes(found[1].backBytes)}));
  else said.push(t("{share} fail no other rule. Read what it took; `action: flag` keeps them and notes the rule.", {share: share(rule.alone, n)}));
  for (const source of N.sources.filter((s) => s.good)) {
    const [failed] = rule.sources[source.source] || [0];
    if (failed) said.push(t("{source} is declared good, and {failed:,} of its {all:,} documents fail this rule ({share}).",
      {source: source.source, failed, all: source.documents, share: share(failed, source.documents)}));
  }
  return said;
}

function funnelSection() {
  const names = sorted(N.funnel, (row) => sum(Object.values(row))).map(([name]) => name), shown = names.slice(0, 10);
  const all = {};
  for (const name of names) for (const [k, v] of Object.entries(N.funnel[name])) all[k] = (all[k] || 0) + v;
  const order = [KEPT, ...reasons().map(([name]) => name)], first = order.slice(0, 8);
  const value = (row, name) => name === null ? sum(order.slice(8).map((r) => row[r] || 0)) : row[name] || 0;
  const groups = [...first, ...(order.length > 8 ? [null] : [])];
  section("funnel", t("Funnel"), t("What became of every document, by language."), chart(t("Share of each language's documents that are kept, and dropped by reason"), () => ({
    data: groups.map((name, i) => ({type: "bar", orientation: "h", name: name === null ? t("other reasons") : name === KEPT ? t("kept") : escapeText(name),
      y: shown.map((l) => `${escapeText(l)} (${number(sum(Object.values(N.funnel[l])))})`).reverse(),
      x: shown.map((l) => 100 * value(N.funnel[l], name) / sum(Object.values(N.funnel[l]))).reverse(),
      customdata: shown.map((l) => value(N.funnel[l], name)).reverse(), hovertemplate: "%{customdata:,} (%{x:.1f} %)<extra>%{fullData.name}</extra>",
      marker: {color: name === KEPT ? color("kept") : name === null ? color("grey") : palette([4, 1, 2, 0, 7, 6, 5][i - 1])}})),
    layout: {barmode: "stack", height: 150 + 34 * shown.length, margin: {l: 8, r: 12, t: 30, b: 40}, xaxis: {title: {text: t("% of documents")}, range: [0, 100]},
      legend: {y: -0.18, yanchor: "top"}}}),
  [t("language"), ...groups.map((name) => name === null ? t("other reasons") : name === KEPT ? t("kept") : name)],
  () => names.map((l) => [l, ...groups.map((name) => value(N.funnel[l], name))])));
}

function rulesSection() {
  const rows = N.rule_counts.filter((row) => row.failed).sort((a, b) => (isDrop(b.rule) - isDrop(a.rule)) || b.decided - a.decided || b.failed - a.failed);
  if (!rows.length) return;
  const good = new Set(N.sources.filter((s) => s.good).map((s) => s.source)), holder = make("div", {});
  const fill = () => {
    const all = sum(N.sources.filter((s) => good.has(s.source)).map((s) => s.documents));
    holder.replaceChildren(table([t("rule"), t("action"), t("applies to"), t("fail"), t("reason for"), t("alone"), t("text lost alone"), ...(good.size ? [t("of good sources"), "%"] : [])],
      rows.map((row) => { const failed = sum([...good].map((s) => (row.sources[s] || [0])[0]));
        return [link(row.rule), t(row.action), row.scope, row.failed, row.decided, row.alone, megabytes(row.alone_bytes), ...(good.size ? [failed, share(failed, all)] : [])]; })));
  };
  fill();
  const boxes = N.sources.filter((s) => s.documents).map((s) => {
    const box = make("input", {type: "checkbox", onchange: () => { if (box.checked) good.add(s.source); else good.delete(s.source); fill(); }});
    box.checked = good.has(s.source);
    return make("label", {}, box, " " + s.source);
  });
  const details = rows.map((row) => {
    const open = make("details", {id: "rule-" + encodeURIComponent(row.rule)}, make("summary", {}, make("b", {}, row.rule), ` · ${t(row.action)} · ${number(row.failed)}`));
    const fillRule = () => { if (open.open && open.children.length < 2) open.append(...ruleBody(row)); };
    open.addEventListener("toggle", fillRule);
    open.fill = () => { open.open = true; fillRule(); };
    return open;
  });
  section("rules", t("Rules"), t("Fail: documents that fail the rule, whichever rule dropped them. Alone: dropped documents that fail no other rule; they come back if this one is taken away."),
    make("fieldset", {class: "controls"}, make("legend", {class: "soft"}, t("Sources to count as good")), ...boxes), holder,
    make("h3", {}, t("Each rule: its threshold and documents on both sides")), ...details);
}
function ruleBody(row) {
  const parts = [];
  if (meaning(row.rule)) parts.push(make("p", {class: "note"}, meaning(row.rule)));
  for (const bound of N.bounds.filter((b) => b.rule === row.rule)) parts.push(whatIf(bound));
  const both = make("div", {class: "two"});
  for (const [title, sides] of [[t("Documents that it took"), ["taken", "outside"]], [t("Documents that it left, closest to the threshold"), ["inside"]]]) {
    const rows = sides.flatMap((side) => samplesOf(row.rule, side));
    const unique = rows.filter((s, i) => rows.findIndex((o) => o.doc_id === s.doc_id) === i);
    if (unique.length) both.append(make("div", {}, make("h3", {}, title), ...unique.map(sample)));
  }
  parts.push(both);
  return parts;
}

function signalsSection() {
  const columns = Object.keys(N.signals).sort();
  if (!columns.length) return;
  const select = make("select", {id: "signal", "aria-label": t("Column")});
  const steps = [...new Set(columns.map((c) => c.split(".")[0]))];
  for (const step of steps) select.append(make("optgroup", {label: step}, ...columns.filter((c) => c.split(".")[0] === step).map((c) => make("option", {value: c}, c))));
  const wanted = N.bounds.find((b) => isDrop(b.rule) && N.signals[b.column]);
  select.value = wanted ? wanted.column : columns[0];
  const holder = make("div", {});
  const show = () => {
    const column = select.value, groups = N.signals[column], total = (h) => sum(h.kept) + sum(h.dropped);
    const names = sorted(groups, total).map(([name]) => name).slice(0, 4), isInteger = columnIsInteger(column);
    const x = binsBetween(names.flatMap((name) => groups[name].bins), 4, isInteger), places = x.map((code) => binPlace(code, 4, isInteger));
    const bounds = N.bounds.filter((b) => b.column === column);
    const tests = [...new Map(bounds.filter((b) => b.value !== null).map((b) => [b.side + b.value, b])).values()].slice(0, 12);
    charts = charts.filter((element) => !holder.contains(element));
    holder.replaceChildren(chart(t("Documents by {column}, kept and dropped, by language", {column}), () => {
      const traces = names.flatMap((name, i) => [["kept", "solid"], ["dropped", "dot"]].map(([what, dash]) => {
        const h = groups[name], all = sum(h[what]);
        const y = x.map((code) => { const k = h.bins.indexOf(code); return k < 0 ? 0 : 100 * h[what][k] / Math.max(all, 1); });
        return {type: "scatter", mode: "lines", line: {shape: "hvh", color: palette(i), dash, width: 2}, x: places, y, visible: all ? true : "legendonly",
          name: `${name === "*" ? t("other languages") : escapeText(name)}, ${t(what)} (${number(all)})`, customdata: x.map((c) => edgesOf(c, 4).map(short).join(" – ")),
          hovertemplate: "%{customdata}: %{y:.1f} %<extra>%{fullData.name}</extra>"};
      }));
      const lines = tests.map((b) => line(placeOf(b.value, 4, isInteger), `${b.rule} ${b.side === "min" ? "≥" : "≤"} ${short(b.value)}`, isDrop(b.rule) ? "lost" : "grey"));
      lines.forEach((l, i) => { l.note.y = 1 - 0.07 * (i % 8); });
      const marks = tests.map((b) => joinedBin(binOf(b.value), 4)).filter((code) => Number.isInteger(binPlace(code, 4, isInteger)));
      return {data: traces, layout: {height: 380, xaxis: {...binAxis([...x, ...marks], 4, isInteger), title: {text: column}},
        yaxis: {title: {text: t("% of documents")}, rangemode: "tozero"}, shapes: lines.map((l) => l.shape), annotations: lines.map((l) => l.note)}};
    }, [column, ...names.flatMap((name) => [`${name}, ${t("kept")}`, `${name}, ${t("dropped")}`])],
    () => x.map((code) => [edgesOf(code, 4).map(short).join(" – "), ...names.flatMap((name) => ["kept", "dropped"].map((what) => groups[name][what][groups[name].bins.indexOf(code)] || 0))])));
    const rules = [...new Set(bounds.map((b) => b.rule))];
    if (rules.length) holder.append(make("p", {}, t("Rules that test it:") + " ", ...rules.flatMap((name, i) => [i ? ", " : "", link(name)])));
  };
  const step = (by) => { const i = columns.indexOf(select.value) + by; select.value = columns[(i + columns.length) % columns.length]; show(); };
  select.addEventListener("change", show);
  section("signals", t("Signals"), t("Every measured number: {n:,} columns. Each line adds up to 100 %; dotted lines are thresholds. Steps of the axis are equal in ratio, not in size.", {n: columns.length}),
    make("div", {class: "controls"}, make("button", {type: "button", "aria-label": t("Previous column"), onclick: () => step(-1)}, "←"), select,
      make("button", {type: "button", "aria-label": t("Next column"), onclick: () => step(1)}, "→")), holder);
  show();
}

function bars(label, rows, heads, values, names) { // groups as horizontal bars, kept in front of dropped
  const shown = rows.slice(0, 15);
  return chart(label, () => ({
    data: [[t("kept"), (v) => v.kept, "kept"], [t("dropped"), (v) => v.documents - v.kept, "lost"]].map(([name, of, shade]) => ({type: "bar", orientation: "h", name,
      y: shown.map(([n]) => escapeText(n || t("(none)"))).reverse(), x: shown.map(([, v]) => of(v)).reverse(), marker: {color: color(shade)}, hovertemplate: "%{x:,}<extra>%{fullData.name}</extra>"})),
    layout: {barmode: "stack", height: 110 + 26 * shown.length, margin: {l: 8, r: 12, t: 10, b: 36}, xaxis: {title: {text: t("documents")}}}}), heads, () => rows.map(values));
}
const tally = (row) => ({documents: row[0], kept: row[1], copies: row[2], tokens: row[5]});
function tallySection(id, title, tallies) {
  const rows = sorted(tallies || {}, (row) => row[0]).map(([name, row]) => [name, tally(row)]);
  if (!rows.length) return;
  const tokens = sum(rows.map(([, v]) => v.tokens));
  const values = ([name, v]) => [name || t("(none)"), v.documents, v.kept, share(v.kept, v.documents), v.copies, v.tokens, share(v.tokens, tokens)];
  const heads = [title, t("documents"), t("kept"), t("kept %"), t("copies"), t("kept tokens"), t("share of tokens")];
  section(id, title, rows.length > 15 ? t("The picture shows the largest {n:,} of {all:,}.", {n: 15, all: rows.length}) : "", bars(title, rows, null, null),
    table(heads, rows.slice(0, 40).map(values)));
}

function qualitySections() {
  const p = N.profile, b = N.buckets, buckets = p.buckets || {};
  const parts = [];
  for (const [language, groups] of sorted(buckets, (g) => sum(Object.values(g).map((s) => s[0] + s[1]))).slice(0, 4)) {
    const codes = Object.keys(groups).map(Number).filter((code) => code >= 0 && code < 1000), total = sum(Object.values(groups).map((s) => s[2] + s[3]));
    if (!codes.length) continue;
    const n = Math.max(...codes) + 1, x = [...Array(n).keys()], of = (i) => x.map((c) => 100 * ((groups[c] || [0, 0, 0, 0])[i]) / Math.max(total, 1));
    const cuts = (N.thresholds.quality_bucket || []).filter((c) => !c.languages || c.languages.includes(language));
    parts.push(chart(t("Quality buckets of {language}: % of bytes", {language}), () => {
      const lines = cuts.map((c) => line(c.side === "min" ? c.value - 0.5 : c.value + 0.5, `${c.rule} ${c.side === "min" ? "≥" : "≤"} ${short(c.value)}`, "lost"));
      return {data: [[t("kept"), 2, "kept"], [t("dropped"), 3, "lost"]].map(([name, i, shade]) => ({type: "bar", name, x, y: of(i), marker: {color: color(shade)}})),
        layout: {barmode: "stack", title: {text: escapeText(language), font: {size: 13}, x: 0.02, xanchor: "left"}, margin: {l: 48, r: 12, t: 50, b: 40}, xaxis: {title: {text: t("quality bucket, best at the right")}}, yaxis: {title: {text: t("% of bytes")}},
          shapes: lines.map((l) => l.shape), annotations: lines.map((l) => l.note)}};
    }));
  }
  if (parts.length) section("buckets", t("Quality buckets"), t("Where documents are by quality among all of their language; each bucket has an equal share of the population."), make("div", {class: "two"}, ...parts));
  if (p.tiers) section("tiers", t("Quality tiers"), "", table([t("language"), t("tier"), t("documents"), t("kept")],
    Object.entries(p.tiers).flatMap(([language, tiers]) => Object.entries(tiers).map(([tier, s]) => [language, t(tier), s[0] + s[1], s[0]]))));
  if (b) scorers(b);
}
function scorers(b) {
  const languages = [...new Set(b.summary.filter((row) => row.population).sort((a, c) => c.size - a.size).map((row) => row.language))].slice(0, 4);
  const names = [...new Set(b.overlap.map((row) => row.scorer))];
  const cell = (language, a, c) => (b.overlap.find((row) => row.language === language && row.scorer === a && row.other === c) || {}).share;
  section("scorers", t("Scorers"), t("Share of the top bucket of the scorer in a row that is also in the top bucket of the one in a column."), make("div", {class: "two"}, ...languages.map((language) =>
    chart(t("Overlap of the scorers' top buckets, {language}", {language}), () => ({data: [{type: "heatmap", x: names.map(escapeText), y: names.map(escapeText), z: names.map((a) => names.map((c) => cell(language, a, c) ?? null)),
      texttemplate: "%{z:.0%}", zmin: 0, zmax: 1, colorscale: [[0, color("paper")], [1, color("kept")]], showscale: false, hovertemplate: "%{y} → %{x}: %{z:.1%}<extra></extra>"}],
      layout: {title: {text: language === "*" ? t("all languages") : escapeText(language), font: {size: 13}, x: 0.02, xanchor: "left"}, height: 110 + 44 * names.length, margin: {l: 8, r: 8, t: 40, b: 40}, yaxis: {autorange: "reversed"}}}),
    [t("scorer"), ...names], () => names.map((a) => [a, ...names.map((c) => share(cell(language, a, c) ?? 0, 1))])))));
  if (b.drift) section("drift", t("Drift"), t("Against the documents that the given bucket edges were made from: a population stability index below 0.1 is small, above 0.25 large."),
    table([t("language, scorer"), t("documents"), "psi", t("by chance"), t("moved"), t("bucket that differs most")],
      [...b.drift].sort((a, c) => c.psi - a.psi).slice(0, 20).map((r) => [`${r.language}, ${r.scorer}`, r.documents, r.psi, r.chance, share(r.moved, 1), `${r.worst_bucket}: ${share(r.expected, 1)} → ${share(r.actual, 1)}`])));
  const groups = {};
  for (const row of b.samples) (groups[`${row.language}, ${row.scorer}`] ||= []).push(row);
  section("bucket-samples", t("Samples by bucket"), t("Documents drawn from each bucket, the best first. Would you put them there?"), ...Object.entries(groups).map(([name, rows]) => make("details", {}, make("summary", {}, name),
    table([t("bucket"), t("document"), t("verdict"), t("text")], [...rows].sort((a, c) => c.bucket - a.bucket).map((r) => {
      const id = anchored.has(r.doc_id) || N.rule_samples.some((s) => s.doc_id === r.doc_id) ? null : "doc-" + r.doc_id;
      anchored.add(r.doc_id);
      return [r.bucket, id ? make("span", {id, class: "mono"}, r.doc_id) : documentLink(r.doc_id), r.keep ? t("kept") : t("dropped"), r.text]; })))));
}

function lines(label, groups, cuts, axis) { // language -> bins of the profile -> [kept, dropped, ...]
  const names = sorted(groups, (g) => sum(Object.values(g).map((s) => s[0] + s[1]))).map(([name]) => name).slice(0, 4);
  const join = (code) => joinedBin(code, 4), codes = names.flatMap((n) => Object.keys(groups[n]).map((c) => join(Number(c))));
  if (!codes.length) return null;
  const x = [];
  for (let code = Math.min(...codes); code <= Math.max(...codes); code++) x.push(code);
  return chart(label, () => {
    const data = names.flatMap((name, i) => [[t("kept"), 0, "solid"], [t("dropped"), 1, "dot"]].map(([what, k, dash]) => {
      const counts = new Map();
      for (const [code, row] of Object.entries(groups[name])) counts.set(join(Number(code)), (counts.get(join(Number(code))) || 0) + row[k]);
      const all = sum([...counts.values()]);
      return {type: "scatter", mode: "lines", name: `${escapeText(name)}, ${what} (${number(all)})`, line: {shape: "hvh", color: palette(i), dash}, x, y: x.map((c) => 100 * (counts.get(c) || 0) / Math.max(all, 1)), visible: all >= 20 ? true : "legendonly",
        customdata: x.map((c) => edgesOf(c, 4).map(short).join(" – ")), hovertemplate: "%{customdata}: %{y:.1f} %<extra>%{fullData.name}</extra>"};
    }));
    const marks = cuts.slice(0, 8).map((c) => line(placeOf(c.value, 4), `${c.rule} ${c.side === "min" ? "≥" : "≤"} ${short(c.value)}`, "lost"));
    marks.forEach((l, i) => { l.note.y = 1 - 0.08 * i; });
    return {data, layout: {height: 340, xaxis: {...binAxis([...codes, ...marks.map((l) => Math.round(l.shape.x0))], 4, false), title: {text: axis}}, yaxis: {title: {text: t("% of documents")}, rangemode: "tozero"}, shapes: marks.map((l) => l.shape), annotations: marks.map((l) => l.note)}};
  });
}
function scoreSections() {
  const p = N.profile;
  if (p.scores) section("scores", t("Scores"), t("Each line adds up to 100 %; dotted lines are thresholds."), make("div", {class: "two"}, ...Object.entries(p.scores).sort().map(([name, groups]) =>
    lines(name, groups, N.thresholds["quality." + name] || [], name)).filter(Boolean)));
  if (!p.perplexity) return;
  const rows = N.domain_perplexity, languages = [...new Set(rows.map((r) => r.language))].slice(0, 8), domains = [...new Set(rows.map((r) => r.domain))].slice(0, 25);
  const cell = (l, d) => rows.find((r) => r.language === l && r.domain === d);
  const heads = [t("language"), t("domain"), t("documents"), t("kept"), "10 %", "50 %", "90 %"];
  section("perplexity", t("Perplexity"), t("Lower is more fluent. By language, and the median by language and domain."), lines(t("Documents by perplexity and language"), p.perplexity, N.thresholds.perplexity || [], t("perplexity")),
    rows.length ? chart(t("Median perplexity by language and domain"), () => ({data: [{type: "heatmap", x: languages.map(escapeText), y: domains.map(escapeText), z: domains.map((d) => languages.map((l) => { const r = cell(l, d); return r ? Math.log10(r.quantiles[1]) : null; })),
      text: domains.map((d) => languages.map((l) => { const r = cell(l, d); return r ? short(Number(r.quantiles[1].toPrecision(3))) : ""; })), texttemplate: "%{text}", showscale: false, colorscale: [[0, color("paper")], [1, color("alone")]], hovertemplate: "%{y}, %{x}: %{text}<extra></extra>"}],
      layout: {height: 90 + 24 * domains.length, margin: {l: 8, r: 8, t: 10, b: 40}, yaxis: {autorange: "reversed"}}}), heads, () => rows.map((r) => [r.language, r.domain, r.documents, r.kept, ...r.quantiles])) : null);
}

const pairs = () => (N.near_duplicates || {}).samples || [];
function pairBox(pair) {
  const limit = (N.near_duplicates || {}).threshold;
  const verdict = pair.verified ? (limit !== null && pair.similarity < limit ? t("verified, one is contained in the other") : t("verified"))
    : limit !== null && pair.similarity >= limit ? t("above the threshold, yet rejected: numbers, names, scripts or signs differ") : t("below the threshold");
  const box = make("div", {class: "sample"}, make("span", {class: "facts"}, documentLink(pair.doc_a), " · ", documentLink(pair.doc_b), ` · ${pair.language} · ${pair.similarity.toFixed(3)} · `, make("b", {class: pair.verified ? "kept" : "lost"}, verdict)));
  for (const place of pair.differences) box.append(make("div", {class: "two"}, make("div", {}, place.removed), make("div", {}, place.kept)));
  if (pair.places > pair.differences.length) box.append(make("span", {class: "facts"}, t("and {n:,} more differences", {n: pair.places - pair.differences.length})));
  return box;
}
function copiesSections() {
  const clusters = N.profile.clusters || {}, sizes = Object.keys(clusters).map(Number).filter((s) => clusters[s][0]).sort((a, b) => a - b);
  if (sizes.length) {
    const total = [0, 1, 2].map((i) => sum(Object.values(clusters).map((row) => row[i]))), name = (s) => s < 3 ? String(s) : `${s / 2 + 1}–${s}`;
    const kinds = Object.entries(N.duplicates).map(([by, groups]) => table([t(by), t("same text"), t("same match text"), t("near"), t("share of documents")], sorted(groups, (k) => sum(Object.values(k))).slice(0, 20).map(([g, k]) => {
      const documents = ((by === "source" ? N.profile.sources : N.profile.languages)[g] || [0])[0], counts = ["raw", "exact", "near"].map((kind) => k[kind] || 0);
      return [g, ...counts, share(sum(counts), documents)]; })));
    section("clusters", t("Clusters of duplicates"), t("{documents:,} documents in {clusters:,} clusters; {copies:,} that pass every rule were dropped because another member is kept.", {clusters: total[0], documents: total[1], copies: total[2]}),
      chart(t("Clusters by size"), () => ({data: [{type: "bar", x: sizes.map(name), y: sizes.map((s) => clusters[s][0]), text: sizes.map((s) => number(clusters[s][0])), textposition: "outside", cliponaxis: false, marker: {color: palette(0)}, hovertemplate: "%{y:,}<extra></extra>"}],
        layout: {margin: {l: 56, r: 12, t: 24, b: 44}, xaxis: {type: "category", title: {text: t("documents in the cluster")}}, yaxis: {type: "log", title: {text: t("clusters")}, exponentformat: "none", tickformat: ",", dtick: 1}}}),
      [t("documents in the cluster"), t("clusters"), t("documents"), t("dropped")], () => sizes.map((s) => [name(s), ...clusters[s]])), ...kinds);
  }
  const d = N.near_duplicates;
  if (!d || !d.histogram.length) return;
  section("pairs", t("Around the threshold"), t("Compared pairs by similarity, and those closest to the threshold on both sides: what differs is in brackets. Would you call them duplicates?"), chart(t("Compared pairs by similarity"), () => {
    const marks = d.threshold === null ? [] : [line(d.threshold, t("threshold {value}", {value: d.threshold}), "ink")];
    return {data: [[false, t("rejected"), "lost"], [true, t("verified"), "kept"]].map(([flag, name, shade]) => { const mine = d.histogram.filter((row) => row[1] === flag);
      return {type: "bar", name, x: mine.map((row) => row[0] + 0.005), width: 0.01, y: mine.map((row) => row[2]), marker: {color: color(shade)}, hovertemplate: "%{x:.2f}: %{y:,}<extra>%{fullData.name}</extra>"}; }),
    layout: {barmode: "stack", xaxis: {title: {text: t("similarity: Jaccard index of shingles")}, range: [0, 1.01]}, yaxis: {type: "log", title: {text: t("pairs")}, exponentformat: "none", tickformat: ",", dtick: 1}, shapes: marks.map((m) => m.shape), annotations: marks.map((m) => m.note)}};
  }), ...pairs().map(pairBox));
}

function contentSections() {
  const p = N.profile;
  tallySection("languages", t("Languages"), p.languages && Object.keys(p.languages).length ? p.languages : Object.fromEntries(Object.entries(N.funnel).map(([l, row]) => [l, [sum(Object.values(row)), row.kept || 0, 0, 0, 0, 0]])));
  if (N.scripts.length) section("scripts", t("Chinese by script"), t("Of kept documents, by their released text."), table([t("language"), t("released as"), t("documents"), "%", t("characters"), "%", t("tokens"), "%"],
    N.scripts.map((r) => [r.language, r.released_as, r.documents, share(r.documents_share, 1), r.characters, share(r.characters_share, 1), r.tokens, share(r.tokens_share, 1)])));
  tallySection("domains", t("Domains"), p.domains);
  const lengths = Object.entries(N.lengths);
  if (lengths.length) section("lengths", t("Lengths"), t("Kept documents by tokens, from each power of two to the next."), chart(t("Lengths of kept documents"), () => ({data: lengths.map(([name, counts], i) => ({type: "scatter", mode: "lines", line: {shape: "hvh", color: palette(i)}, name: escapeText(name),
    x: counts.map((_, k) => k), y: counts.map((n) => 100 * n / Math.max(sum(counts), 1)), customdata: counts.map((n, k) => `${number(2 ** k)}: ${number(n)}`), hovertemplate: "%{customdata}<extra>%{fullData.name}</extra>"})),
    layout: {xaxis: {title: {text: t("tokens")}, tickvals: [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20], ticktext: [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20].map((k) => number(2 ** k))}, yaxis: {title: {text: t("% of kept documents")}, rangemode: "tozero"}}}),
  [t("tokens"), ...lengths.map(([name]) => name)], () => lengths[0][1].map((_, k) => [2 ** k, ...lengths.map(([, counts]) => counts[k] || 0)])));
  if (N.sources.length) section("sources", t("Sources"), "", bars(t("Sources"), N.sources.filter((s) => s.documents).map((s) => [s.source, s])), table(
    [t("source"), t("good"), t("files"), "MB", t("records"), t("in quarantine"), t("documents"), t("kept"), t("kept %"), t("copies"), t("kept tokens"), t("provenance")],
    N.sources.map((s) => [s.source, s.good ? "✓" : "", s.files, megabytes(s.input_bytes), s.read, s.quarantined, s.documents, s.kept, share(s.kept, s.documents), s.copies, s.kept_tokens,
      Object.entries(s.provenances).filter(([, n]) => n).map(([name]) => name || t("not given")).join(", ")])));
  const quarantined = Object.entries(N.quarantined).flatMap(([source, rows]) => Object.entries(rows).map(([name, n]) => [source, name, n]));
  if (quarantined.length) section("quarantine", t("Quarantine"), "", table([t("source"), t("reason"), t("records")], quarantined));
  const tokens = sum(N.licenses.map((r) => r.tokens));
  if ((N.expectations || []).length) section("expectations", t("Expectations"), t("Bounds of the run file on figures of the release, checked before it was written."), table([t("expectation"), t("figure"), t("at least"), t("at most"), t("found"), ""],
    N.expectations.map((e) => [e.name, make("span", {class: "mono"}, e.figure), e.min ?? "", e.max ?? "", e.value === null ? "" : Number(e.value.toPrecision(4)), e.outside ? t("outside") + (e.group ? " (" + e.group + ")" : "") : t("as expected")])));
  if (N.licenses.length) section("licences", t("Licences"), t("Of kept documents, as each of them carries it."), table([t("licence"), t("documents"), t("tokens"), t("share of tokens"), t("sources")],
    N.licenses.map((r) => [r.license || t("(none)"), r.documents, r.tokens, share(r.tokens, tokens), r.sources.join(", ")])));
  if ((N.rights || []).length) {
    const all = N.rights.reduce((sum, r) => sum + r.tokens, 0), names = ["attribution", "share_alike", "non_commercial", "no_derivatives"];
    section("obligations", t("Obligations"), t("Licences as they came with documents or are named on their pages; a statement is evidence, not permission."), table([t("licence"), t("obliges to"), t("documents"), t("tokens"), t("share of tokens"), t("sources")],
      N.rights.map((r) => [r.spdx || "(" + r.class_ + ")", names.filter((n) => r[n]).map((n) => n.replace("_", " ")).join(", "), r.documents, r.tokens, share(r.tokens, all), Object.keys(r.sources).join(", ")])));
  }
  if (N.audit) section("audit", t("Audit"), t("{read:,} documents were read by {readers:,} people. Rates are weighted by strata; intervals are Wilson's of 95 %.", {read: N.audit.read, readers: N.audit.readers}), table([t("by"), t("group"), t("wrong"), t("documents"), t("read"), t("found"), t("rate"), "95 %"],
    N.audit.rates.map((r) => [r.by, r.group, r.wrong === "bad" ? t("should not be kept") : t("removed wrongly"), r.population, r.read, r.found, share(r.rate, 1), share(r.low, 1) + " – " + share(r.high, 1)])));
  const hits = Object.entries(N.spans).filter(([name]) => BENCHMARK_HITS.includes(name));
  if (hits.length) section("benchmarks", t("Benchmark questions"), t("Documents in which a question of a benchmark occurs, how many of them are kept, and the number of occurrences."), ...hits.map(([name, kinds]) =>
    table([name, t("documents"), t("kept"), t("hits")], sorted(kinds, (row) => row[0]).map(([kind, row]) => [kind, ...row]))));
  const spans = Object.entries(N.spans).filter(([name]) => !BENCHMARK_HITS.includes(name));
  if (spans.length) section("spans", t("Personal data and other spans"), t("Documents with a span of each kind, how many of them are kept, and the number of spans."), ...spans.map(([name, kinds]) =>
    table([name, t("documents"), t("kept"), t("spans")], sorted(kinds, (row) => row[0]).map(([kind, row]) => [kind, ...row]))));
  for (const part of N.parts) section("part-" + part.part, t("{part}/: diversity", {part: part.part}), t("Effective: how many equally frequent values would be as diverse."), table([t("by"), t("group"), t("documents"), t("tokens"), t("values"), t("effective"), t("most frequent"), t("its share")],
    part.groups.map((g) => [g.by, g.group, g.documents, g.tokens, g.values, g.effective, g.largest, share(g.largest_share, 1)])));
}

function mixSections() {
  for (const [name, mix] of Object.entries(N.mixes).sort()) {
    const rows = mix.groups.map((g) => [g.group, g.n_docs, g.tokens, share(g.asked_share, 1), share(g.share, 1), g.epochs.toFixed(2)]);
    const slices = mix.training ? mix.training.slices : [], groups = mix.groups.map((g) => g.group);
    const middles = slices.map((slice, k) => 50 * ((k ? slices[k - 1].until : 0) + slice.until));
    const order = slices.length > 1 && chart(t("Share of each group over the training order of {name}", {name}), () => ({
      data: groups.flatMap((group, i) => [{type: "scatter", mode: "lines", line: {color: palette(i), shape: "hvh"}, name: escapeText(group), x: middles, y: slices.map((slice) => 100 * slice.share[i]), hovertemplate: "%{y:.1f} %<extra>%{fullData.name}</extra>"},
        {type: "scatter", mode: "lines", line: {color: palette(i), dash: "dot", width: 1}, name: `${escapeText(group)}, ${t("asked")}`, x: middles, y: slices.map((slice) => 100 * slice.asked[i]), showlegend: false, hoverinfo: "skip"}]),
      layout: {xaxis: {title: {text: t("% of the training order")}, range: [0, 100]}, yaxis: {title: {text: t("% of tokens")}, range: [0, 101]}}}), [t("stretch"), ...groups], () => slices.map((slice, k) => [k + 1, ...slice.share.map((v) => share(v, 1))]));
    section("mix-" + name, t("Mix {name}", {name}), t("{tokens:,} tokens, {documents:,} documents in training order. Dotted: the share that was asked for.", {tokens: mix.tokens, documents: mix.documents}), table([t("group"), t("documents"), t("tokens"), t("share asked"), t("share"), t("epochs")], rows), order);
  }
}

function heldSections() {
  if (!HELD) return;
  const rows = HELD.languages.slice(0, 24), labels = [...new Set([...rows.map((r) => r.language), ...rows.flatMap((r) => Object.keys(r.labels).slice(0, 3))])].slice(0, 30);
  section("held", t("Languages of a held sample"), t("{correct:,} of {texts:,} texts of known language have their label ({share}).", {correct: HELD.correct, texts: HELD.texts, share: share(HELD.correct, HELD.texts)}), chart(t("True languages and labels"), () => ({
    data: [{type: "heatmap", x: labels, y: rows.map((r) => r.language), z: rows.map((r) => labels.map((l) => ((r.labels[l] || 0) / r.texts) ** 0.35)), text: rows.map((r) => labels.map((l) => r.labels[l] ? number(r.labels[l]) : "")), texttemplate: "%{text}", showscale: false, colorscale: [[0, color("paper")], [1, color("accent")]], hovertemplate: "%{y} → %{x}: %{text}<extra></extra>"}],
    layout: {height: 140 + 26 * rows.length, margin: {l: 8, r: 8, t: 10, b: 80}, yaxis: {autorange: "reversed"}, xaxis: {title: {text: t("label")}}}})), table([t("language"), t("texts"), t("recall"), t("precision"), t("labels")],
    HELD.languages.map((r) => [r.language, r.texts, share(r.recall, 1), r.precision === null ? "—" : share(r.precision, 1), Object.entries(r.labels).slice(0, 4).map(([l, n]) => `${l} ${n}`).join(", ")])));
  if (HELD.groups.length) section("confusable", t("Confusable languages"), t("Languages that are taken for each other; the setting `groups` of the language stage gives such languages one score."),
    table([t("languages"), t("name"), t("texts"), t("own label"), t("any label of the group")], HELD.groups.map((g) => [g.languages.join(", "), g.name, g.texts, share(g.correct, g.texts), share(g.inside, g.texts)])));
}

function makingSections() {
  if (TIMES) {
    section("times", t("Times"), t("Of {runs:,} runs of this store that worked on the release, the last on {date}. CPU-seconds are added up over workers.", {runs: TIMES.runs.length, date: TIMES.date}),
      TIMES.stages.length ? table([t("stage"), t("CPU seconds"), t("text"), t("MB/s per core"), t("wall seconds of workers"), t("device")], TIMES.stages.map((s) => [s.stage, s.cpu_s, s.bytes ? megabytes(s.bytes) : "", s.bytes && s.cpu_s ? Number((s.bytes / 1e6 / s.cpu_s).toFixed(2)) : "", s.wall_s || "", s.device])) : null,
      table([t("phase"), t("seconds")], TIMES.phases), table([t("run"), t("date"), t("ended"), t("seconds"), t("peak memory"), t("version")], TIMES.runs.map((r) => [r.id, r.started, t(r.status), r.seconds, megabytes(r.peak_rss), r.version])));
  } else section("times", t("Times"), "", make("p", {class: "note"}, t("A release has the same bytes whenever it is built, so it has no times. `bicorpus report RELEASE --store URL --to report.html` adds the date, the times and the speed of each stage from the records of the store.")));
  if (N.steps.length) section("steps", t("Steps"), t("bicorpus {version}, recipe {recipe}", {version: N.version, recipe: N.recipe.slice(0, 16)}), table([t("step"), t("module"), t("version"), t("recipe")], N.steps.map((s) => [s.name, s.module, s.version, make("span", {class: "mono"}, s.recipe.slice(0, 8))])));
}

function render() {
  sections.length = 0;
  anchored = new Set();
  firstScreen(); funnelSection(); rulesSection(); signalsSection(); qualitySections(); scoreSections(); copiesSections(); contentSections(); mixSections(); heldSections(); makingSections();
  showSections(N.name, t("bicorpus {version}, corpus {corpus}", {version: N.version, corpus: N.corpus}) + (TIMES ? " · " + TIMES.date : ""));
  go();
}
// An address may name a rule or a document inside an element that is still closed.
function go() {
  const id = location.hash.slice(1);
  if (!id) return;
  if (id.startsWith("doc-") && !$(id)) {
    const found = N.rule_samples.find((s) => "doc-" + s.doc_id === id), rule = found && $("rule-" + encodeURIComponent(found.rule));
    if (rule) rule.fill();
  }
  const target = $(id) || $(decodeURIComponent(id));
  if (!target) return;
  if (target.fill) target.fill();
  for (let up = target.parentElement; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  target.scrollIntoView();
}
window.addEventListener("hashchange", go);
switches(render);
