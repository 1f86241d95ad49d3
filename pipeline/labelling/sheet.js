"use strict";
// A labelling sheet. Texts are only ever set as textContent; answers are kept in localStorage under the id of the sheet.

const data = JSON.parse(document.getElementById("data").textContent);
const {rubric, documents} = data;
const FIELDS = ["doc_id", "score", "keep", "kind", "flags", "domain", "note", "labeller"];
const WORDS = {
  en: {
    previous: "← Previous", next: "Next →", open: "Next without answer", labeller: "Your name", language: "中文",
    load: "Load answers", save: "Download answers", yes: "yes", no: "no", note: "Note", choose: "choose…",
    count: (n, all, done) => `${n} of ${all}, ${done} answered`, chars: "characters", left: "left out",
    noStorage: "This browser keeps no progress for this page: download your answers before you close it.",
    badFile: "This file holds no answers to this sheet.", loaded: (n) => `${n} answers loaded.`,
    noName: "Enter your name first: it is written beside each answer.", close: "Close", keys: "Keys",
    help: [["0 – 5", "score"], ["y / n", "keep, or not"], ["k, d", "to the list of kinds or subjects: type a name, Enter"],
      ["Shift + letter", "a flag, as shown beside it"], ["c", "note; Esc ends it"], ["→ or j, ← or h", "next, previous"],
      ["u", "next document without an answer"], ["s", "download answers"], ["l", "中文"], ["?", "these keys"]],
  },
  zh: {
    previous: "← 上一篇", next: "下一篇 →", open: "下一篇未答", labeller: "标注人", language: "English",
    load: "载入答案", save: "下载答案", yes: "是", no: "否", note: "备注", choose: "请选择…",
    count: (n, all, done) => `第 ${n} 篇，共 ${all} 篇，已答 ${done} 篇`, chars: "字", left: "有省略",
    noStorage: "浏览器无法为此页面保存进度：关闭前请先下载答案。",
    badFile: "文件中没有本表的答案。", loaded: (n) => `已载入 ${n} 条答案。`,
    noName: "请先填写标注人：每条答案都会记下姓名。", close: "关闭", keys: "快捷键",
    help: [["0 – 5", "打分"], ["y / n", "保留 / 不保留"], ["k、d", "转到类型或领域列表：输入名称后回车"],
      ["Shift + 字母", "标记，字母见各项旁"], ["c", "备注，Esc 结束"], ["→ 或 j，← 或 h", "下一篇、上一篇"],
      ["u", "下一篇未答"], ["s", "下载答案"], ["l", "English"], ["?", "本说明"]],
  },
};
const KEY = "bicorpus-label-" + data.id;
let state = {at: 0, language: (navigator.language || "en").startsWith("zh") ? "zh" : "en", labeller: "", answers: {}};

const $ = (id) => document.getElementById(id);
const words = () => WORDS[state.language];
const make = (tag, text, attributes = {}) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const complain = (message) => { $("problem").textContent = message; };

function keep() {
  try { localStorage.setItem(KEY, JSON.stringify(state)); } catch { complain(words().noStorage); }
}
function recall() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) || "null");
    if (stored && stored.answers) state = {...state, ...stored};
  } catch { complain(words().noStorage); }
}

const answer = () => state.answers[documents[state.at].doc_id] ||= {flags: []};
const isDone = (one) => one && one.score !== undefined && one.keep !== undefined && one.kind && one.domain;
const nDone = () => documents.filter((d) => isDone(state.answers[d.doc_id])).length;

function set(field, value) {
  answer()[field] = value;
  keep();
  show();
}
function toggle(flag) {
  const flags = answer().flags;
  set("flags", flags.includes(flag) ? flags.filter((f) => f !== flag) : [...flags, flag]);
}
function go(to) {
  state.at = Math.max(0, Math.min(documents.length - 1, to));
  keep();
  show();
  window.scrollTo(0, 0);
  $("questions").scrollTop = 0;
}
function goOpen() {
  const n = documents.length;
  for (let i = 1; i <= n; i++)
    if (!isDone(state.answers[documents[(state.at + i) % n].doc_id])) return go((state.at + i) % n);
}

function field(title, hint, ...parts) {
  const set = make("fieldset");
  set.append(make("legend", title));
  if (hint) set.append(make("p", hint, {class: "hint"}));
  set.append(...parts);
  return set;
}
function pressed(text, key, isOn, act, attributes) {
  const button = make("button", undefined, {type: "button", "aria-pressed": String(isOn), ...attributes});
  button.append(make("kbd", key), " " + text);
  button.addEventListener("click", act);
  return button;
}
function list(name, key, one) {
  const language = state.language;
  const select = make("select", undefined, {id: name, "aria-label": rubric[name].title[language]});
  select.append(make("option", words().choose, {value: ""}));
  for (const choice of rubric[name].choices)
    select.append(make("option", `${choice.name} · ${choice[language]}`, {value: choice.name}));
  select.value = one[name] || "";
  select.addEventListener("change", () => { answer()[name] = select.value; keep(); progress(); });
  const part = field(rubric[name].title[language], "", select);
  part.firstChild.append(" ", make("kbd", key));
  return part;
}

function progress() {
  $("count").textContent = words().count(state.at + 1, documents.length, nDone());
  $("done").style.width = (100 * nDone()) / documents.length + "%";
}

function show() {
  const w = words(), language = state.language, shown = documents[state.at], one = answer();
  document.documentElement.lang = language;
  $("title").textContent = rubric.title[language];
  for (const id of ["previous", "next", "open", "language", "load", "save"]) $(id).textContent = w[id];
  $("labeller-label").textContent = w.labeller;
  $("labeller").value = state.labeller;
  $("facts").textContent = `${shown.language} · ${shown.chars} ${w.chars}${shown.cut ? " · " + w.left : ""}`;
  $("text").textContent = shown.text;
  const levels = make("div", undefined, {class: "levels"});
  for (const level of rubric.score.levels)
    levels.append(pressed(level[language], String(level.name), one.score === level.name,
      () => set("score", level.name), {"data-score": level.name}));
  const flags = rubric.flags.choices.map((choice) => {
    const label = make("label", undefined, {class: "flag"});
    const box = make("input", undefined, {type: "checkbox", value: choice.name});
    box.checked = one.flags.includes(choice.name);
    box.addEventListener("change", () => toggle(choice.name));
    label.append(box, " ", make("kbd", choice.key), " " + choice[language]);
    return label;
  });
  const flagged = field(rubric.flags.title[language], "", ...flags);
  flagged.firstChild.append(" ", make("kbd", "Shift +"));
  const note = make("textarea", undefined, {id: "note", maxlength: "500", "aria-label": w.note});
  note.value = one.note || "";
  note.addEventListener("input", () => { answer().note = note.value; keep(); });
  const noted = field(w.note, "", note);
  noted.firstChild.append(" ", make("kbd", "c"));
  const active = document.activeElement && document.activeElement.id;
  $("questions").replaceChildren(
    make("p", rubric.intro[language], {class: "hint"}),
    field(rubric.score.title[language], "", levels),
    field(rubric.keep.title[language], rubric.keep[language],
      pressed(w.yes, "y", one.keep === true, () => set("keep", true), {id: "yes"}), " ",
      pressed(w.no, "n", one.keep === false, () => set("keep", false), {id: "no"})),
    list("kind", "k", one), flagged, list("domain", "d", one), noted,
  );
  if (active && $(active)) $(active).focus();
  progress();
}

function explain() {
  const w = words(), listed = make("dl");
  for (const [key, meaning] of w.help) listed.append(make("dt", key), make("dd", meaning));
  const close = make("button", w.close, {type: "button"});
  close.addEventListener("click", () => $("keys").close());
  $("keys").replaceChildren(make("h2", w.keys), listed, close);
  $("keys").showModal();
}

// Answers as CSV: quoted; a cell that a spreadsheet would run as a formula gets an apostrophe in front.
const cell = (value) => {
  const text = value === undefined || value === null ? "" : String(value);
  return '"' + (/^\s*[=+\-@]|^[\t\r\n]/.test(text) ? "'" : "") + text.replaceAll('"', '""') + '"';
};
function asCsv() {
  const rows = documents.filter((d) => state.answers[d.doc_id]).map((d) => {
    const one = state.answers[d.doc_id];
    return [d.doc_id, one.score, one.keep, one.kind, one.flags.join("|"), one.domain, one.note, state.labeller];
  }).filter((row) => row.slice(1, 7).some((value) => value !== undefined && value !== ""));
  return "\ufeff" + [FIELDS, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}
function save() {
  if (!state.labeller) { complain(words().noName); $("labeller").focus(); return; }
  complain("");
  const link = make("a", "", {download: `${data.name}.${state.labeller.replace(/[^\p{L}\p{N}_-]/gu, "_")}.csv`});
  link.href = URL.createObjectURL(new Blob([asCsv()], {type: "text/csv;charset=utf-8"}));
  document.body.append(link);
  link.click();
  link.remove();
}
function parseCsv(text) {
  const rows = [];
  let row = [], part = "", quoted = false;
  for (let i = text.startsWith("\ufeff") ? 1 : 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') { part += '"'; i++; }
      else if (c === '"') quoted = false;
      else part += c;
    } else if (c === '"') quoted = true;
    else if (c === ",") { row.push(part); part = ""; }
    else if (c === "\n" || c === "\r") {
      if (c === "\r" && text[i + 1] === "\n") i++;
      rows.push([...row, part]);
      row = []; part = "";
    } else part += c;
  }
  if (part || row.length) rows.push([...row, part]);
  return rows;
}
function load(text) {
  const [head, ...rows] = parseCsv(text);
  const known = new Set(documents.map((d) => d.doc_id)), levels = rubric.score.levels.map((l) => String(l.name));
  const names = (field) => rubric[field].choices.map((c) => c.name);
  let n = 0;
  for (const row of rows) {
    const one = Object.fromEntries((head || []).map((name, i) => [name, row[i] || ""]));
    if (!known.has(one.doc_id)) continue;
    state.answers[one.doc_id] = {
      score: levels.includes(one.score) ? Number(one.score) : undefined,
      keep: {true: true, false: false}[one.keep],
      kind: names("kind").includes(one.kind) ? one.kind : undefined,
      domain: names("domain").includes(one.domain) ? one.domain : undefined,
      flags: (one.flags || "").split("|").filter((flag) => names("flags").includes(flag)),
      note: (one.note || "").replace(/^'(?=\s*[=+\-@])/, ""),
    };
    if (!state.labeller && one.labeller) state.labeller = one.labeller;
    n++;
  }
  complain(n ? words().loaded(n) : words().badFile);
  keep();
  show();
}

const ACTIONS = {
  y: () => set("keep", true), n: () => set("keep", false), k: () => $("kind").focus(), d: () => $("domain").focus(),
  c: () => $("note").focus(), j: () => go(state.at + 1), ArrowRight: () => go(state.at + 1),
  h: () => go(state.at - 1), ArrowLeft: () => go(state.at - 1), u: goOpen, s: save, l: () => turn(), "?": explain,
};
function turn() { state.language = state.language === "en" ? "zh" : "en"; keep(); show(); }

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || $("keys").open) return;
  const inField = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if (inField) {
    if (event.key === "Escape" || (event.key === "Enter" && event.target.tagName !== "TEXTAREA")) event.target.blur();
    return;
  }
  const flag = event.shiftKey && rubric.flags.choices.find((choice) => choice.key === event.key.toUpperCase());
  const level = rubric.score.levels.find((one) => String(one.name) === event.key);
  if (flag) toggle(flag.name);
  else if (level && !event.shiftKey) set("score", level.name);
  else if (ACTIONS[event.key] && (!event.shiftKey || event.key === "?")) ACTIONS[event.key]();
  else return;
  event.preventDefault();
});
for (const [id, act] of Object.entries({previous: () => go(state.at - 1), next: () => go(state.at + 1), open: goOpen,
  language: turn, save, help: explain, load: () => $("file").click()})) $(id).addEventListener("click", act);
$("labeller").addEventListener("input", () => { state.labeller = $("labeller").value.trim(); keep(); });
$("file").addEventListener("change", async () => { if ($("file").files[0]) load(await $("file").files[0].text()); });

recall();
show();
