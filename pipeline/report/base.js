"use strict";
// What the report and the explorer share. Texts are only ever set as textContent, never parsed as HTML.

const $ = (id) => document.getElementById(id);
const PAGE = JSON.parse($("data").textContent);
const stored = (key) => { try { return localStorage.getItem("bicorpus-" + key); } catch { return null; } };
const store = (key, value) => { try { localStorage.setItem("bicorpus-" + key, value); } catch { /* a page without storage */ } };

// Messages: English as the code has it, or its translation. {name:,} is a number with separators, {name} any value.
let LANG = stored("lang") || ((navigator.language || "").startsWith("zh") ? "zh" : document.documentElement.lang || "en");
const number = (value) => Math.round(value).toLocaleString("en");
function t(text, values) {
  const template = (LANG === "zh" && PAGE.words[text]) || text;
  if (!values) return template;
  const formats = Object.fromEntries([...text.matchAll(/\{(\w+):,\}/g)].map((m) => [m[1], true]));
  return template.replace(/\{(\w+)(:,)?\}/g, (_, name, comma) =>
    comma || formats[name] ? number(values[name]) : String(values[name]));
}
const share = (part, all) => all ? (100 * part / all).toFixed(100 * part / all < 10 ? 1 : 0) + "%" : "—";
const megabytes = (n) => n < 1e5 ? (n / 1e3).toLocaleString("en", {maximumFractionDigits: 1}) + " kB"
  : (n / 1e6).toLocaleString("en", {maximumFractionDigits: 1}) + " MB";
const short = (value) => value === null || value === undefined ? "" : typeof value !== "number" ? String(value)
  : Number.isInteger(value) ? number(value)
  : Math.abs(value) >= 1000 ? number(value) : String(Number(value.toPrecision(4)));

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {}))
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
function table(heads, rows, caption) {
  const isText = heads.map((_, i) => rows.some((row) => !["number", "undefined"].includes(typeof row[i]) &&
    !/^[\d.,%—-]*( [kM]B)?$/.test(row[i] instanceof Node ? "x" : String(row[i] ?? ""))));
  const body = rows.map((row) => make("tr", {}, ...row.map((cell, i) =>
    make("td", {class: isText[i] && "text"}, cell instanceof Node ? cell : short(cell)))));
  const head = make("tr", {}, ...heads.map((name, i) => make("th", {scope: "col", class: isText[i] && "text"}, name)));
  return make("div", {class: "scroll", tabindex: "0"}, make("table", {}, caption ? make("caption", {}, caption) : null,
    make("thead", {}, head), make("tbody", {}, ...body)));
}

// Theme: as the system asks for, or as chosen.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const theme = () => stored("theme") || (dark.matches ? "dark" : "light");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const PALETTE = {light: ["#1f5fae", "#b26a00", "#6b4fa0", "#23735a", "#b8412e", "#4a5568", "#00718f", "#a02c6d"],
  dark: ["#8ab8f5", "#f0b35a", "#c3a6f2", "#58c9a0", "#f2866f", "#b6c0ce", "#5cc9e6", "#ee8fc4"]};
const palette = (i) => PALETTE[theme()][i % 8];

// Charts: drawn by Plotly once they come into view, again after a change of theme; each has its numbers as a table.
let charts = [];
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
}, {rootMargin: "300px"});
function draw(element) {
  const {data, layout} = element.spec();
  const axis = {gridcolor: color("line"), linecolor: color("line"), zerolinecolor: color("line"), automargin: true, separatethousands: true};
  const [start, end] = (layout.xaxis || {}).range || [0, 0];
  for (const note of layout.annotations || []) // a note in the right half is written to the left of its line
    if (end > start && note.x > start + 0.5 * (end - start)) Object.assign(note, {xanchor: "right", xshift: -3});
  const full = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: color("ink"), size: 12}, height: 300,
    margin: {l: 48, r: 12, t: 16, b: 40}, hovermode: "closest", bargap: 0.08, dragmode: false, ...layout,
    legend: {orientation: "h", y: 1.02, yanchor: "bottom", x: layout.title ? 1 : 0, xanchor: layout.title ? "right" : "left", traceorder: "normal", ...(layout.legend || {})},
    xaxis: {...axis, ...(layout.xaxis || {})}, yaxis: {...axis, ...(layout.yaxis || {})},
  };
  Object.assign(element.style, {height: full.height + "px", minHeight: 0}); // Plotly takes it when the page changes its width
  return Plotly.react(element, data, full, {responsive: true, displaylogo: false, displayModeBar: false, locale: "en"});
}
function chart(label, spec, heads, rows) {
  const element = make("div", {class: "chart", role: "img", "aria-label": label});
  element.spec = spec;
  charts.push(element);
  seen.observe(element);
  const figure = make("figure", {style: "margin:.4rem 0"}, element);
  if (heads) {
    const open = make("details", {}, make("summary", {class: "soft"}, t("Numbers of this chart")));
    open.addEventListener("toggle", () => { if (open.open && open.children.length < 2) open.append(table(heads, rows())); });
    figure.append(open);
  }
  return figure;
}
function redraw() { for (const element of charts) if (element.data) draw(element); }

function switches(render) {
  const set = () => {
    document.documentElement.lang = LANG;
    document.documentElement.dataset.theme = theme();
    $("language").textContent = LANG === "zh" ? "English" : "中文";
    $("language").setAttribute("aria-label", LANG === "zh" ? "Show this page in English" : "以中文显示本页");
    $("theme").textContent = theme() === "dark" ? t("Light") : t("Dark");
  };
  $("language").addEventListener("click", () => { LANG = LANG === "zh" ? "en" : "zh"; store("lang", LANG); set(); charts = []; render(); });
  $("theme").addEventListener("click", () => { store("theme", theme() === "dark" ? "light" : "dark"); set(); redraw(); });
  dark.addEventListener("change", () => { set(); redraw(); });
  set();
  render();
}

// Bins of histograms, as in pipeline/report/profile.py: 16 for each power of two, a bin holds its upper edge.
const OCTAVE = 16, LEAST = -10, MOST = 31;
function binOf(value) {
  if (value === 0) return 0;
  const size = Math.abs(value), exponent = Math.floor(Math.log2(size)) + 1, mantissa = size / 2 ** exponent;
  const place = exponent * OCTAVE + Math.ceil(mantissa * 2 * OCTAVE) - OCTAVE - 1;
  const code = Math.min(Math.max(place, LEAST * OCTAVE), (MOST + 1) * OCTAVE) - LEAST * OCTAVE + 1;
  return Math.sign(value) * code;
}
function edgesOf(code, joined = 1) { // of `joined` bins together
  if (code === 0) return [0, 0];
  const edge = (place) => { const e = Math.floor(place / OCTAVE); return 2 ** (e - 1) * (1 + (place - e * OCTAVE) / OCTAVE); };
  const first = (Math.abs(code) - 1) * joined + LEAST * OCTAVE;
  return code > 0 ? [edge(first), edge(first + joined)] : [-edge(first + joined), -edge(first)];
}
const joinedBin = (code, joined) => Math.sign(code) * (Math.floor((Math.abs(code) - 1) / joined) + 1);
// Where a bin is on an axis on which every bin has the width 1: at its code; whole numbers have no bins between 0 and 1.
function binPlace(code, joined = 1, isInteger = false) {
  return isInteger && code ? Math.sign(code) * Math.max(Math.abs(code) - joinedBin(binOf(1), joined) + 1, 0.5) : code;
}
function binsBetween(codes, joined = 1, isInteger = false) { // from the least to the greatest, without those that have no place
  const least = Math.min(...codes), most = Math.max(...codes), found = [];
  for (let code = least; code <= most; code++) if (Number.isInteger(binPlace(code, joined, isInteger))) found.push(code);
  return found;
}
function placeOf(value, joined = 1, isInteger = false) { // where a value is on that axis
  if (value === 0) return 0;
  const code = joinedBin(binOf(value), joined), [low, high] = edgesOf(code, joined), place = binPlace(code, joined, isInteger);
  return Number.isInteger(place) ? place - 0.5 + (value - low) / (high - low) : place;
}
function binAxis(codes, joined, isInteger) { // codes: of bins that have a place
  const all = binsBetween(codes, joined, isInteger), step = Math.max(1, Math.ceil(all.length / 8)), at = (code) => binPlace(code, joined, isInteger);
  const low = at(all[0]), high = at(all[all.length - 1]), ticks = all.filter((_, i) => i % step === 0);
  const label = (code) => { const [a, b] = edgesOf(code, joined); return short(isInteger ? Math.floor(code > 0 ? b : a) : Number((code > 0 ? b : a).toPrecision(2))); };
  return {tickvals: ticks.map((code) => code === 0 ? 0 : at(code) + Math.sign(code) * 0.5), ticktext: ticks.map(label), range: [low - 0.7, high + 0.7]};
}
const line = (x, text, name) => ({
  shape: {type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: {color: color(name || "ink"), width: 1.5, dash: "dot"}},
  note: {xref: "x", yref: "paper", x, y: 1, text: escapeText(text), showarrow: false, xanchor: "left", yanchor: "top", xshift: 3,
    font: {size: 11, color: color(name || "ink")}, bgcolor: color("paper"), opacity: 0.85},
});
// Plotly reads a few tags in texts: names from data must not be any of them.
const escapeText = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
