// The live panel in the browser: draws what the kernel tells five times a second, and sends which
// button was pressed.  Nothing is loaded from anywhere.  Buttons are made once and stay, so that the
// keyboard's focus stays on them; texts are written only when they change, for screen readers.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 860, LEFT = 90, RIGHT = 845, TOP = 6, EDGE = 8, LANE = 18, BAR = 16, LETTER = 5.5;
const SILENCE = 3000; // milliseconds without a word from the kernel after which we say so
const SILENT = "No news from the kernel: it was restarted or is gone. Run this cell again.";
const GROUPS = [
  ["Work", ["send one", "send ten", "duplicate"]],
  ["Partner", ["answer", "hold before effect", "hold after effect"]],
  ["Broker", ["time passes", "restart broker"]],
  ["Workers", ["new worker"]],
  ["Panel", ["close"]],
];
const PARTNER = {
  "answer": "answers at once",
  "hold before effect": "before its effect",
  "hold after effect": "after its effect",
};
const OF_WORKER = ["kill child", "kill worker", "pause"];

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function draw(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function capital(words) {
  return words[0].toUpperCase() + words.slice(1);
}

function button(words, press, label) {
  const made = make("button", { type: "button" }, capital(words));
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", () => {
    // aria-disabled, and not disabled: a button that had the focus keeps it.
    if (made.getAttribute("aria-disabled") !== "true") press();
  });
  return made;
}

// A mark's shape: as in the static picture.
function shape([path, filled, colour], where) {
  const paint = filled
    ? { fill: colour, stroke: "#fff" }
    : { fill: "none", stroke: colour, "stroke-width": 2.2 };
  return draw("path", { d: path, transform: where, ...paint });
}

function timeline(data, look) {
  const tops = [TOP]; // where each row begins: it is as high as its lanes
  for (const lanes of data.lanes) tops.push(tops[tops.length - 1] + EDGE * 2 + LANE * lanes);
  const height = tops[tops.length - 1] + 22;
  const colours = look.colours;
  const x = (ago) => RIGHT - (Math.min(ago, data.window) / data.window) * (RIGHT - LEFT);
  const middle = (row) => (tops[row] + tops[row + 1]) / 2;
  const parts = [draw("rect", { width: WIDTH, height, fill: colours.paper, stroke: colours.rule })];
  data.rows.forEach((name, row) => {
    const band = { x: 1, y: tops[row], width: WIDTH - 2, fill: colours.band };
    band.height = tops[row + 1] - tops[row];
    if (row % 2 === 0) parts.push(draw("rect", band));
    parts.push(draw("text", { x: 12, y: middle(row) + 4, fill: colours.ink }, name));
  });
  for (const [row, key, begin, end, how, lane] of data.bars) {
    const y = tops[row] + EDGE + LANE * lane;
    const dash = look.dashes[how] ? { "stroke-dasharray": look.dashes[how] } : {};
    const width = Math.max(x(end) - x(begin), 2);
    const fill = colours.workers[(row - 1) % colours.workers.length];
    const place = { x: x(begin), y: y + 1, width, height: BAR };
    const named = draw("title", {}, `${key}: ${look.ends[how]}`);
    parts.push(draw("rect", { ...place, fill, stroke: colours.ink, ...dash }, named));
    if (width < key.length * LETTER) continue; // there is no room for its name
    const words = { x: x(begin) + 3, y: y + 13, "font-size": 10, fill: colours.ink };
    const halo = { stroke: colours.paper, "stroke-width": 2, "paint-order": "stroke" };
    parts.push(draw("text", { ...words, ...halo }, key));
  }
  for (const [row, kind, ago] of data.marks) {
    parts.push(shape(look.shapes[kind], `translate(${x(ago)} ${middle(row)})`));
  }
  for (let ago = 0; ago <= data.window; ago += 5) {
    const place = { x: x(ago), y: height - 6, "font-size": 10, "text-anchor": "middle" };
    parts.push(draw("text", { ...place, fill: colours.ink }, ago ? `${ago} s ago` : "now"));
  }
  return { height, parts };
}

// Which kinds of marks and bars are drawn now, with their words.
function legend(data, look) {
  const kinds = [...new Set(data.marks.map(([, kind]) => kind))];
  const ends = [...new Set(data.bars.map((bar) => bar[4]))];
  const marks = kinds.map((kind) => [
    draw("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" }, shape(look.shapes[kind], "")),
    look.shapes[kind][3],
  ]);
  const bars = ends.map((how) => [
    draw("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, draw("rect", {
      x: 1, y: 3, width: 12, height: 8, fill: look.colours.workers[0], stroke: look.colours.ink,
      ...(look.dashes[how] ? { "stroke-dasharray": look.dashes[how] } : {}),
    })),
    `task: ${look.ends[how]}`,
  ]);
  return [...marks, ...bars].map(([picture, word]) =>
    make("span", { class: "lab-key" }, picture, word));
}

// The table of workers: a row is made when a worker comes, and taken away when it is gone.  Where the
// focus was on one of its buttons, it goes to `next`: the keyboard must not begin anew.
function workersTable(press, next) {
  const body = make("tbody");
  const heads = ["worker", "state", "at work on", "what to do to it"];
  const head = make("tr", {}, ...heads.map((words) => make("th", { scope: "col" }, words)));
  const caption = make("caption", {}, "Workers of this queue");
  const table = make("table", {}, caption, make("thead", {}, head), body);
  const known = new Map();

  function come(name) {
    const cells = { state: make("td"), doing: make("td") };
    const buttons = {};
    for (const what of OF_WORKER) {
      const pressed = () => press(what === "pause" ? cells.pauses : what, name);
      buttons[what] = button(what, pressed, `${capital(what)} ${name}`);
    }
    const names = make("th", { scope: "row" }, name);
    const acts = make("td", {}, ...Object.values(buttons));
    cells.row = make("tr", {}, names, cells.state, cells.doing, acts);
    cells.buttons = buttons;
    body.append(cells.row);
    return cells;
  }

  function show(workers, over) {
    for (const { name, state, there, doing } of workers) {
      if (!known.has(name)) known.set(name, come(name));
      const cells = known.get(name);
      cells.pauses = state === "paused" ? "resume" : "pause";
      say(cells.state, state);
      say(cells.doing, doing);
      say(cells.buttons.pause, capital(cells.pauses));
      cells.buttons.pause.setAttribute("aria-label", `${capital(cells.pauses)} ${name}`);
      for (const one of Object.values(cells.buttons)) enable(one, there && !over);
    }
    const there = new Set(workers.map((worker) => worker.name));
    for (const [name, cells] of known) {
      if (there.has(name)) continue;
      if (cells.row.contains(document.activeElement)) next.focus();
      cells.row.remove();
      known.delete(name);
    }
  }
  return { table, show };
}

function enable(one, can) {
  one.setAttribute("aria-disabled", String(!can));
}

function render({ model, el }) {
  const press = (name, worker = "") => model.send({ press: name, worker });
  const status = make("p", { role: "status", "aria-live": "polite" });
  const trouble = make("p", { class: "lab-trouble", role: "status", "aria-live": "polite" });
  const buttons = new Map();
  const groups = GROUPS.map(([title, names]) => {
    const inside = names.map((name) => {
      const made = button(name, () => press(name));
      buttons.set(name, made);
      return made;
    });
    return make("fieldset", {}, make("legend", {}, title), ...inside);
  });
  const numbers = new Map();
  const list = make("dl");
  const workers = workersTable(press, buttons.get("new worker"));
  const title = draw("title", {}, "Timeline of the last 20 seconds");
  const rows = draw("g", {});
  const picture = draw("svg", { role: "img", "font-size": 12 }, title, rows);
  const keys = make("p", { class: "lab-legend" });
  const elsewhere = make("p", { class: "lab-elsewhere" });
  const root = make("section", { class: "lab-panel", "aria-label": "Live panel" });
  root.append(...groups, status, trouble, list, workers.table, picture, keys, elsewhere);
  el.append(root);

  function number(name, words) {
    if (!numbers.has(name)) {
      const value = make("dd");
      numbers.set(name, value);
      list.append(make("div", {}, make("dt", {}, name), value));
    }
    say(numbers.get(name), words);
  }

  let heard = performance.now();
  let legendOf = "";

  function show() {
    const data = model.get("data");
    const look = model.get("look");
    heard = performance.now();
    say(status, data.over ? `Ended: ${data.over}` : data.said);
    say(trouble, data.trouble);
    for (const [name, , words] of data.queues) number(`queue ${name}`, words.replace(`${name}: `, ""));
    number("unacked", data.unacked);
    number("sent", String(data.sent));
    number("happened", String(data.happened));
    number("more than once", String(data.twice));
    number("the partner", data.partner);
    for (const [name, words] of Object.entries(PARTNER)) {
      buttons.get(name).setAttribute("aria-pressed", String(data.partner.includes(words)));
    }
    for (const one of buttons.values()) enable(one, !data.over);
    workers.show(data.workers, Boolean(data.over));
    const { height, parts } = timeline(data, look);
    picture.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    rows.replaceChildren(...parts);
    const kinds = JSON.stringify([data.marks.map((m) => m[1]), data.bars.map((b) => b[4])]);
    if (kinds !== legendOf) keys.replaceChildren(...legend(data, look));
    legendOf = kinds;
    say(elsewhere, data.elsewhere.length ? `Elsewhere: ${data.elsewhere.join("; ")}` : "");
  }

  function listen() {
    const silent = performance.now() - heard > SILENCE;
    if (silent && !model.get("data").over) say(trouble, SILENT);
  }

  model.on("change:data", show);
  const clock = setInterval(listen, 1000);
  show();
  return () => {
    model.off("change:data", show);
    clearInterval(clock);
  };
}

export default { render };
