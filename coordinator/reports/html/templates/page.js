// The page's own script: it unpacks the data, draws the charts and fills the table of items.
// Every text is set as text: nothing here makes markup out of data.

const byId = (id) => document.getElementById(id);
const root = document.documentElement;

const LOOKS = {
  succeeded: ["●", "good"], early_exit: ["◐", "mild"], failed: ["✕", "bad"],
  running: ["▶", "live"], partial: ["◧", "live"], unfinished: ["?", "warn"],
  still_running: ["▶", "live"], queued: ["◷", "idle"], not_run: ["○", "idle"],
};
const TIMES = new Set(["time", "from", "to", "end"]);
const LONG = new Set(["item", "reason"]); // columns of the items
const NOT_PRINTED = new Set(["wait s", "sentences", "step", "node"]);
const MOST_TABLE_ROWS = 500;

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && name !== "role") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function captionOf(text) {
  return element("caption", {}, element("span", { textContent: text }));
}

function stateMark(state) {
  const [shape, tone] = LOOKS[state] ?? ["?", "warn"];
  const mark = element("span", { className: "shape", textContent: shape, "aria-hidden": "true" });
  return element("span", { className: `state ${tone}` }, mark, state.replaceAll("_", " "));
}

// Commands to copy

function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.firstChild;
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        text.data = "Copied";
      } catch {
        text.data = "Not copied";
      }
      setTimeout(() => { text.data = "Copy"; }, 2000);
    });
  }
}

// Charts

function shown(name, value) {
  if (value === null || value === undefined) return "";
  if (TIMES.has(name) && value > 1e11) {
    return new Date(value).toISOString().slice(0, 19).replace("T", " ");
  }
  return typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: 3 }) : value;
}

function tableOf(title, rows) {
  const names = Object.keys(rows[0] ?? {});
  const cut = rows.length > MOST_TABLE_ROWS ? `, the first ${MOST_TABLE_ROWS} of ${rows.length}` : "";
  const table = element("table", {}, captionOf(title + cut));
  const head = table.createTHead().insertRow();
  for (const name of names) head.append(element("th", { scope: "col", textContent: name }));
  const body = table.createTBody();
  for (const row of rows.slice(0, MOST_TABLE_ROWS)) {
    const line = body.insertRow();
    for (const name of names) line.insertCell().textContent = shown(name, row[name]);
  }
  return table;
}

function offerTable(figure, make) {
  const button = figure.querySelector("button.as-table");
  const place = figure.querySelector(":scope > .scroll");
  button.hidden = false;
  button.addEventListener("click", () => {
    const show = place.hidden;
    if (show) place.replaceChildren(make());
    place.hidden = !show;
    button.firstChild.data = show ? "Hide the table" : "Show as table";
    button.setAttribute("aria-expanded", String(show));
  });
}

const drawn = new Map(); // figure -> what was drawn in it
async function draw(figure, spec, options) {
  const plot = figure.querySelector(".plot");
  const place = element("div", { className: "live" });
  place.style.width = `${plot.clientWidth}px`;
  const still = [...plot.childNodes];
  plot.append(place);
  const made = await vegaEmbed(place, { ...spec, width: "container" }, {
    actions: false, ast: true, defaultStyle: false, renderer: "svg", ...options,
  });
  for (const node of [...still, ...place.querySelectorAll("form")]) node.remove();
  place.style.width = "";
  drawn.get(figure)?.finalize();
  drawn.set(figure, made);
  return made;
}

// The heat map

function cellsOf(data) {
  if (data.cells) return data.cells;
  const { columns } = data;
  const found = new Map();
  for (let i = 0; i < columns.item.length; i += 1) {
    const source = columns.strings[columns.source_language[i]];
    const target = columns.strings[columns.target_language[i]];
    if (source && target) addCell(found, columns, i, source, target);
  }
  return [...found.values()];
}

function addCell(found, columns, i, source, target) {
  const key = `${source}\n${target}`;
  let cell = found.get(key);
  if (!cell) found.set(key, cell = { source, target, failed: 0, scores: [], counts: [] });
  if (columns.kind[i] >= 0) cell.failed += 1;
  columns.scores.forEach((scores, metric) => {
    if (scores[i] === null) return;
    const count = cell.counts[metric] = (cell.counts[metric] ?? 0) + 1;
    const mean = cell.scores[metric] ?? 0;
    cell.scores[metric] = mean + (scores[i] - mean) / count;
  });
}

function grid(cells, metric) {
  const sources = [...new Set(cells.map((cell) => cell.source))].sort();
  const targets = [...new Set(cells.map((cell) => cell.target))].sort();
  const known = new Map(cells.map((cell) => [`${cell.source}\n${cell.target}`, cell]));
  return sources.flatMap((source) => targets.map((target) => {
    const cell = known.get(`${source}\n${target}`);
    const value = cell?.scores[metric] ?? null;
    const mark = cell?.failed ? "failed" : cell && value === null ? "missing" : "";
    const state = cell?.failed ? `${cell.failed} failed` : cell ? value === null ? "no score" : "" : "not asked for";
    return { source, target, value, mark, state, score: value === null ? "" : value.toFixed(2) };
  }));
}

function matrixTable(values, metric) {
  const targets = [...new Set(values.map((cell) => cell.target))];
  const caption = captionOf(`${metric}: sources down, targets across`);
  const table = element("table", { className: "matrix" }, caption);
  const head = table.createTHead().insertRow();
  head.append(element("th", { scope: "col", textContent: "source" }));
  for (const target of targets) head.append(element("th", { scope: "col", textContent: target }));
  const body = table.createTBody();
  for (let i = 0; i < values.length; i += targets.length) {
    const line = body.insertRow();
    line.append(element("th", { scope: "row", textContent: values[i].source }));
    for (const cell of values.slice(i, i + targets.length)) {
      line.insertCell().textContent = cell.score || (cell.state === "not asked for" ? "" : cell.state);
    }
  }
  return table;
}

function inks() {
  const style = getComputedStyle(root);
  return { ink: style.getPropertyValue("--text").trim() || "#555" };
}

async function drawHeat(figure, spec, data) {
  const cells = cellsOf(data);
  const choice = byId("metric");
  let values = [];
  offerTable(figure, () => matrixTable(values, data.metrics[choice.value]));
  const redraw = async () => {
    values = grid(cells, choice.value);
    const targets = new Set(values.map((cell) => cell.target)).size;
    const made = structuredClone(spec);
    const side = Math.min((figure.clientWidth - 120) / targets, made.height / (values.length / targets));
    for (const layer of made.layer) {
      if (layer.mark.type === "point") layer.mark.size = Math.max(4, (0.7 * side) ** 2);
    }
    made.datasets = { ...made.datasets, cells: values };
    const { view } = await draw(figure, made, { renderer: "canvas" });
    await view.signal("ink", inks().ink).runAsync();
  };
  choice.addEventListener("change", redraw);
  const recolour = (ink) => drawn.get(figure)?.view.signal("ink", ink).run();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => recolour(inks().ink));
  addEventListener("beforeprint", () => recolour("#111"));
  addEventListener("afterprint", () => recolour(inks().ink));
  await redraw();
}

async function drawCharts(specs, data) {
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const spec = specs[figure.dataset.chart];
    if (!spec) continue;
    const fold = figure.closest("details:not([open])");
    const now = async () => {
      if (figure.dataset.chart === "heat") return drawHeat(figure, spec, data);
      offerTable(figure, () => tableOf(figure.querySelector("h3").textContent, spec.datasets.main));
      return draw(figure, spec, {});
    };
    if (fold) fold.addEventListener("toggle", now, { once: true });
    else await now();
    await new Promise((resume) => { setTimeout(resume); });
  }
}

// Items

function linkTo(prefix, folder, log) {
  const parts = `${folder}/${log}`.split("/");
  if (parts.some((part) => ["", ".", ".."].includes(part))) return null;
  const href = `${prefix}/${parts.map(encodeURIComponent).join("/")}`;
  return element("a", { href, rel: "noopener", textContent: "log" });
}

function attemptsOf(data, i) {
  const { columns, logs } = data;
  const text = (n) => columns.strings[n] ?? "";
  const box = element("div", { className: "attempts" });
  const lines = [text(columns.reason[i]), text(columns.suspicious[i])].filter(Boolean);
  for (const line of lines) box.append(element("p", { className: "error", textContent: line }));
  const heads = ["step", "try", "state", "kind", "reason", "node", "started (UTC)", "seconds", "load", "exit", "log"];
  const table = element("table", {}, captionOf(`Attempts of ${columns.item[i]}`));
  const head = table.createTHead().insertRow();
  for (const name of heads) head.append(element("th", { scope: "col", textContent: name }));
  const body = table.createTBody();
  for (const one of columns.tries[i]) {
    const [step, number, state, kind, reason, node, folder, log, start, seconds, load, exit] = one;
    const at = start === null ? "" : new Date((columns.began + start) * 1000).toISOString().slice(0, 19).replace("T", " ");
    const line = body.insertRow();
    const cells = [text(step), number, null, text(kind), text(reason), text(node), at, seconds ?? "", load ?? "", exit ?? ""];
    for (const cell of cells) line.insertCell().textContent = cell ?? "";
    line.cells[2].replaceChildren(stateMark(text(state)));
    const link = logs && text(log) ? linkTo(logs, text(folder), text(log)) : null;
    line.insertCell().append(link ?? "");
  }
  box.append(element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `Attempts of ${columns.item[i]}` }, table));
  return box;
}

function itemColumns(data) {
  const { columns, metrics } = data;
  const text = (name) => (i) => columns.strings[columns[name][i]] ?? "";
  const number = (name, digits = 0) => ({ of: (i) => columns[name][i], digits });
  const word = (title, name) => ({ title, text: text(name) });
  return [
    { title: "item", text: (i) => columns.item[i] },
    { title: "state", text: (i) => text("state")(i).replaceAll("_", " ") },
    word("kind", "kind"),
    word("reason", "reason"),
    { title: "tries", ...number("attempts") },
    word("source", "source_language"),
    word("target", "target_language"),
    ...metrics.map((title, m) => ({ title, of: (i) => columns.scores[m][i], digits: 2 })),
    { title: "work s", ...number("work_s", 1) },
    { title: "wait s", ...number("wait_s", 1) },
    { title: "tokens", ...number("tokens") },
    { title: "sentences", ...number("sentences") },
    word("step", "step"),
    word("node", "node"),
  ].filter((column) => columns.item.some((_, i) => (column.of ? column.of(i) !== null : column.text(i))));
}

function cellOf(column) {
  if (column.text) return (i) => column.text(i);
  const digits = { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits };
  const format = new Intl.NumberFormat("en", digits);
  return (i, type) => {
    const value = column.of(i);
    if (type === "sort" || type === "type") return value ?? -Infinity;
    return value === null ? "" : format.format(value);
  };
}

function expander(data, table, td, i) {
  const name = data.columns.item[i];
  const button = element("button", { type: "button", textContent: "+", "aria-expanded": "false", "aria-label": `Attempts of ${name}` });
  button.addEventListener("click", () => {
    const row = table().row(td.parentElement);
    const show = !row.child.isShown();
    if (show) row.child(attemptsOf(data, i)).show();
    else row.child.hide();
    button.textContent = show ? "−" : "+";
    button.setAttribute("aria-expanded", String(show));
  });
  td.replaceChildren(button);
}

function headOf(place, columns) {
  const head = place.createTHead().insertRow();
  const first = element("span", { className: "hidden-text", textContent: "attempts" });
  head.append(element("th", { scope: "col" }, first));
  for (const { title } of columns) head.append(element("th", { scope: "col", textContent: title }));
}

function columnOf(data, column, text) {
  const { columns } = data;
  const names = [column.of && "n", LONG.has(column.title) && "long", NOT_PRINTED.has(column.title) && "extra"];
  const made = {
    data: cellOf(column),
    render: text,
    className: names.filter(Boolean).join(" "),
    type: column.of ? "num" : "string",
    searchable: !column.of, // words are searched for, and numbers sorted
  };
  if (column.title === "state") {
    made.createdCell = (td, _value, i) => td.replaceChildren(stateMark(columns.strings[columns.state[i]]));
  }
  return made;
}

const LOOK = {
  order: [[1, "asc"]],
  pageLength: 25,
  lengthMenu: [25, 100, 500],
  autoWidth: false,
  layout: { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" },
  language: {
    search: "Search", lengthMenu: "_MENU_ a page", info: "_START_ to _END_ of _TOTAL_ items",
    infoEmpty: "no items", infoFiltered: "(of _MAX_)", zeroRecords: "No item is like that",
  },
};

function fillItems(data) {
  const place = byId("items-table");
  const DataTable = window.jQuery.fn.dataTable;
  const columns = itemColumns(data);
  headOf(place, columns);
  let table = null;
  const unfold = {
    data: () => "", orderable: false, searchable: false,
    createdCell: (td, _value, i) => expander(data, () => table, td, i),
  };
  const text = DataTable.render.text(); // cells are never markup
  table = new DataTable(place, {
    ...LOOK,
    data: data.columns.item.map((_, i) => i),
    columns: [unfold, ...columns.map((column) => columnOf(data, column, text))],
  });
  const scroll = place.closest(".dt-layout-table") ?? place.parentElement;
  const region = { tabindex: "0", role: "region", "aria-label": "Items" };
  for (const [name, value] of Object.entries(region)) scroll.setAttribute(name, value);
  return table;
}

function offerFilters(data, table) {
  const place = byId("filters");
  const { columns } = data;
  const counts = new Map();
  for (const state of columns.state) counts.set(state, (counts.get(state) ?? 0) + 1);
  const buttons = [];
  const choose = (chosen, state) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
    table.search.fixed("state", state === null ? null : (_words, i) => columns.state[i] === state).draw();
  };
  const add = (label, count, state) => {
    const number = element("span", { className: "count", textContent: ` ${count.toLocaleString("en")}` });
    const button = element("button", { type: "button", "aria-pressed": String(state === null) }, label, number);
    button.addEventListener("click", () => choose(button, state));
    buttons.push(button);
    place.append(button);
  };
  add("all", columns.item.length, null);
  const order = Object.keys(LOOKS);
  const placeOf = (state) => order.indexOf(columns.strings[state]);
  for (const [state, count] of [...counts].sort((a, b) => placeOf(a[0]) - placeOf(b[0]))) {
    add(stateMark(columns.strings[state]), count, state);
  }
}

async function begin() {
  const { data, specs } = await unpacked(byId("payload").textContent);
  byId("payload").remove();
  for (const place of document.querySelectorAll(".needs-script")) place.hidden = false;
  offerCopies();
  if (byId("items-table")) offerFilters(data, fillItems(data));
  root.dataset.items = "ready";
  await drawCharts(specs, data);
  root.dataset.charts = "ready";
}

await begin();
