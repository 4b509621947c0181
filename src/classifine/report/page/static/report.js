// The charts of the report, its sort buttons and its filters. Texts of the data only ever become text, never HTML.
(() => {
  "use strict";
  const ONE = "var(--one)", TWO = "var(--two)", THREE = "var(--three)";
  const COLOURS = [ONE, TWO, THREE];
  const percent = (value) => `${Math.round(value * 1000) / 10} %`;
  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  // Room for the longest of the names, but never more than a good third of the width.
  const margin = (names, width) => Math.min(width * 0.38, 18 + 6.4 * Math.max(...names.map((name) => name.length)));
  const fitting = (names, width) => Math.max(6, Math.floor((margin(names, width) - 14) / 6.2));
  const dashed = { stroke: "currentColor", strokeDasharray: "4,3", strokeOpacity: 0.7 };
  const band = (names, width) => ({ domain: names, label: null, tickSize: 0, tickFormat: (name) => short(name, fitting(names, width)) });
  const colour = (names) => ({ domain: names, range: COLOURS.slice(0, names.length) });

  // Trials of a search, by how they ended.
  const ENDS = ["whole", "stopped early", "default recipe"];
  const kinds = (rows) => {
    const found = ENDS.filter((kind) => rows.some((row) => row.kind === kind));
    return {
      color: { domain: ENDS, range: COLOURS }, symbol: { domain: ENDS, range: ["circle", "times", "square"] },
      legend: found.map((kind) => [kind, COLOURS[ENDS.indexOf(kind)]]),
    };
  };
  const tried = (rows, x, y) => Plot.dot(rows, { x, y, stroke: "kind", symbol: "kind", strokeWidth: 2.2, r: 4.5, tip: { channels: { trial: "trial", settings: "settings" } } });

  const charts = {
    headline({ rows }, width) {
      const names = rows.map((row) => row.metric);
      const others = rows.flatMap((row) => row.others.map((other) => ({ metric: row.metric, ...other })));
      const values = [...rows.flatMap((row) => [row.value, row.low, row.high]), ...others.map((other) => other.value)];
      return {
        height: 60 + 46 * rows.length, marginLeft: margin(names, width), marginRight: 24, marginBottom: 40,
        x: { domain: [Math.min(0, ...values.filter((value) => value !== null)), 1], label: "value →", grid: true },
        y: band(names, width),
        legend: [["this classifier, with its 95 % interval", ONE], ...[...new Set(others.map((other) => other.name))].map((name, i) => [name, COLOURS[i + 1]])],
        marks: [
          Plot.tickX(others, { x: "value", y: "metric", stroke: "name", strokeWidth: 3, inset: 8, tip: true, channels: { method: "name" } }),
          Plot.ruleY(rows.filter((row) => row.low !== null), { x1: "low", x2: "high", y: "metric", stroke: ONE, strokeWidth: 3 }),
          Plot.dot(rows, { x: "value", y: "metric", r: 6, fill: ONE, stroke: "var(--paper)" }),
          Plot.text(rows, { x: "value", y: "metric", text: (row) => row.value?.toFixed(3) ?? "", dy: -15 }),
        ],
        color: { domain: [...new Set(others.map((other) => other.name))], range: [TWO, THREE] },
      };
    },
    shares({ rows, splits }, width) {
      const names = [...new Set(rows.map((row) => row.label))];
      return {
        height: 50 + names.length * Math.max(18, 11 * splits.length), marginLeft: margin(names, width), marginRight: 24, marginBottom: 40,
        x: { label: "share of the labels of its split (%) →", percent: true, grid: true, nice: true },
        fy: { ...band(names, width), padding: 0.2 },
        y: { axis: null, domain: splits, padding: 0.05 },
        color: colour(splits), legend: splits.length > 1 ? splits.map((name, i) => [name, COLOURS[i]]) : null,
        marks: [Plot.barX(rows, { x: "share", y: "split", fy: "label", fill: "split", tip: { channels: { rows: "rows" } } }), Plot.ruleX([0])],
      };
    },
    lengths({ rows, splits, max_length }, width) {
      const last = Math.max(...rows.map((row) => row.high));
      return {
        height: 60 + 90 * splits.length, marginLeft: 50, marginRight: 74, marginBottom: 40,
        x: { label: "tokens of a text →", domain: [0, last] },
        y: { label: "↑ share of texts (%)", percent: true, grid: true, ticks: 3 },
        fy: { label: null, domain: splits, padding: 0.15 },
        marks: [
          Plot.rectY(rows, { x1: "low", x2: "high", y: "share", fy: "split", fill: ONE, inset: 0.5, tip: { channels: { rows: "rows" } } }),
          Plot.ruleY([0]),
          ...(max_length < last ? [Plot.ruleX([max_length], { ...dashed, stroke: TWO, strokeOpacity: 1 })] : []),
        ],
      };
    },
    curves({ rows, best, axis }, width) {
      const kinds = [...new Set(rows.map((row) => row.kind))];
      const epochs = [...new Set(rows.map((row) => row.epoch))];
      return {
        height: 260, marginLeft: 54, marginRight: 24, marginBottom: 40,
        x: { label: "epoch →", domain: [Math.min(...epochs) - 0.2, Math.max(...epochs) + 0.2], ticks: epochs.length > 12 ? 10 : epochs, tickFormat: "d" },
        y: { label: `↑ ${axis}`, grid: true, nice: true },
        color: colour(kinds), legend: kinds.map((name, i) => [name, COLOURS[i]]),
        marks: [
          ...(best === null ? [] : [Plot.ruleX([best], dashed)]),
          Plot.lineY(rows, { x: "epoch", y: "value", z: "kind", stroke: "kind", strokeWidth: 2 }),
          Plot.dot(rows, { x: "epoch", y: "value", fill: "kind", symbol: "kind", r: 4.5, tip: true }),
        ],
        symbol: { domain: kinds, range: ["circle", "square", "triangle"].slice(0, kinds.length) },
      };
    },
    bars({ rows }, width) {
      const names = rows.map((row) => row.label);
      return {
        height: 50 + 24 * names.length, marginLeft: margin(names, width), marginRight: 24, marginBottom: 40,
        x: { domain: [0, 1], label: "F1, precision and recall →", grid: true },
        y: band(names, width),
        legend: [["F1 (bar)", "color-mix(in srgb, var(--one) 45%, transparent)"], ["precision (dot)", TWO], ["recall (ring)", THREE]],
        marks: [
          Plot.barX(rows, { x: "f1", y: "label", fill: ONE, fillOpacity: 0.45, insetTop: 2, insetBottom: 2, tip: { channels: { precision: "precision", recall: "recall", "true rows": "support" } } }),
          Plot.dot(rows, { x: "precision", y: "label", fill: TWO, r: 4 }),
          Plot.dot(rows, { x: "recall", y: "label", stroke: THREE, strokeWidth: 2, r: 5 }),
          Plot.ruleX([0]),
        ],
      };
    },
    matrix({ labels, counts }, width) {
      const cells = counts.flatMap((line, i) => {
        const all = Math.max(1, line.reduce((sum, count) => sum + count, 0));
        return line.map((count, j) => ({ true: labels[i], answered: labels[j], rows: count, share: count / all }));
      });
      const left = margin(labels, width);
      const room = Math.max(width, left + 20 * labels.length);
      const side = Math.min(72, (room - left - 24) / labels.length);
      const below = Math.min(130, 34 + 5 * Math.max(...labels.map((name) => name.length)));
      const named = side >= 26;
      // Letters that can be read on every strength of the colour; where they turn differs between light and dark.
      const letters = (cell) => `var(${cell.share > 0.78 ? "--on-one" : cell.share > 0.58 ? "--on-some" : "--ink"})`;
      return {
        width: left + side * labels.length + 24, height: 40 + below + Math.max(22, Math.min(side, 46)) * labels.length,
        marginLeft: left, marginBottom: below, marginTop: 28, marginRight: 24,
        x: { domain: labels, label: "answered →", labelOffset: below - 6, tickSize: 0, tickRotate: -40, tickFormat: (name) => short(name, 16), padding: 0.04 },
        y: { ...band(labels, width), label: "true class ↓", labelAnchor: "top", labelArrow: "none", padding: 0.04 },
        opacity: { domain: [0, 1], range: [0.04, 1] },
        marks: [
          Plot.cell(cells, { x: "answered", y: "true", fill: ONE, fillOpacity: "share", tip: { channels: { rows: "rows", share: (cell) => percent(cell.share) }, format: { fillOpacity: false } } }),
          ...(named ? [Plot.text(cells, { x: "answered", y: "true", text: (cell) => (cell.rows || labels.length <= 8 ? cell.rows : ""), fill: letters, fontSize: 11 })] : []),
        ],
        color: { type: "identity" },
      };
    },
    reliability({ rows }, width) {
      const side = Math.min(width, 460);
      return {
        width: side, height: side * 0.86, marginLeft: 54, marginRight: 20, marginBottom: 40,
        x: { domain: [0, 1], label: "mean score of the bin →", grid: true },
        y: { domain: [0, 1], label: "↑ share that came true", grid: true },
        r: { range: [2.5, 13] },
        marks: [
          Plot.line([[0, 0], [1, 1]], dashed),
          Plot.line(rows.filter((row) => row.rows), { x: "score", y: "right", stroke: ONE, strokeOpacity: 0.5 }),
          Plot.dot(rows.filter((row) => row.rows), { x: "score", y: "right", r: "rows", fill: ONE, fillOpacity: 0.75, stroke: "var(--paper)", tip: true }),
        ],
      };
    },
    histogram({ rows, kinds }, width) {
      return {
        height: 260, marginLeft: 54, marginRight: 24 + 6.4 * Math.max(...kinds.map((kind) => kind.length)), marginBottom: 40,
        x: { domain: [0, 1], label: "score →" },
        y: { label: "↑ share of its kind (%)", percent: true, grid: true, ticks: 4 },
        fy: { domain: kinds, label: null, padding: 0.15 },
        color: colour(kinds),
        marks: [
          Plot.rectY(rows, { x1: "low", x2: "high", y: "share", fy: "kind", fill: "kind", inset: 0.5, tip: { channels: { rows: "rows" } } }),
          Plot.ruleY([0]),
        ],
      };
    },
    coverage({ rows }, width) {
      return {
        height: 280, marginLeft: 54, marginRight: 24, marginBottom: 40,
        x: { domain: [0, 100], percent: true, label: "share of rows that are answered (%) →", grid: true },
        y: { percent: true, label: "↑ share of them that is right (%)", grid: true, nice: true },
        marks: [
          Plot.line(rows, { x: "share", y: "accuracy", stroke: ONE, strokeWidth: 2, tip: { channels: { "lowest score": "score" } } }),
        ],
      };
    },
    scatter({ rows }, width) {
      const values = rows.flatMap((row) => [row.true, row.predicted]);
      const ends = [Math.min(...values), Math.max(...values)];
      const side = Math.min(width, 520);
      return {
        width: side, height: side * 0.86, marginLeft: 54, marginRight: 20, marginBottom: 40,
        x: { label: "true number →", domain: ends, nice: true, grid: true },
        y: { label: "↑ predicted number", domain: ends, nice: true, grid: true },
        marks: [
          Plot.line([[ends[0], ends[0]], [ends[1], ends[1]]], dashed),
          Plot.dot(rows, { x: "true", y: "predicted", r: 3, fill: ONE, fillOpacity: 0.35, tip: true }),
        ],
      };
    },
    residuals({ rows }, width) {
      return {
        height: 240, marginLeft: 54, marginRight: 20, marginBottom: 40,
        x: { label: "predicted less true number →" },
        y: { label: "↑ rows", grid: true },
        marks: [
          Plot.rectY(rows, { x1: "low", x2: "high", y: "rows", fill: ONE, inset: 0.5, tip: true }),
          Plot.ruleY([0]),
          Plot.ruleX([0], dashed),
        ],
      };
    },
    trials({ rows, best, axis }, width) {
      const last = Math.max(...rows.map((row) => row.trial));
      return {
        height: 280, marginLeft: 58, marginRight: 24, marginBottom: 40,
        x: { label: "trial →", domain: [-0.5, last + 0.5], ticks: Math.min(last + 1, width < 480 ? 6 : 12), tickFormat: (value) => (Number.isInteger(value) ? value : "") },
        y: { label: `↑ ${axis}`, grid: true, nice: true },
        ...kinds(rows),
        legend: [...kinds(rows).legend, ["best so far (line)", "var(--soft)"]],
        marks: [
          Plot.line(best, { x: "trial", y: "value", curve: "step-after", stroke: "var(--soft)", strokeWidth: 2 }),
          tried(rows, "trial", "value"),
        ],
      };
    },
    setting({ rows, name, log, whole, named, axis }, width) {
      if (named) {
        const names = [...new Set(rows.map((row) => row.setting))];
        return {
          height: 60 + 34 * names.length, marginLeft: margin(names, width), marginRight: 24, marginBottom: 40,
          x: { label: `${axis} →`, grid: true, nice: true },
          y: { ...band(names, width), type: "point", padding: 0.6 },
          ...kinds(rows),
          marks: [tried(rows, "value", "setting")],
        };
      }
      return {
        height: 260, marginLeft: 58, marginRight: 24, marginBottom: 40,
        x: { label: `${name} →`, type: log ? "log" : "linear", nice: !log, tickFormat: log ? (value) => (value < 0.001 ? (+value.toPrecision(2)).toExponential() : String(+value.toPrecision(2))) : whole ? (value) => (Number.isInteger(value) ? value : "") : undefined, ticks: log ? 3 : width < 480 ? 4 : 8 },
        y: { label: `↑ ${axis}`, grid: true, nice: true },
        ...kinds(rows),
        marks: [tried(rows, "setting", "value")],
      };
    },
    importance({ rows }, width) {
      const names = rows.map((row) => row.setting);
      return {
        height: 50 + 28 * names.length, marginLeft: margin(names, width), marginRight: 44, marginBottom: 40,
        x: { label: "share of the differences between trials (%) →", percent: true, grid: true, domain: [0, 100] },
        y: band(names, width),
        marks: [
          Plot.barX(rows, { x: "share", y: "setting", fill: ONE, insetTop: 3, insetBottom: 3 }),
          Plot.text(rows, { x: "share", y: "setting", text: (row) => percent(row.share), textAnchor: "start", dx: 5 }),
          Plot.ruleX([0]),
        ],
      };
    },
  };

  function legendOf(entries) {
    const list = document.createElement("ul");
    list.className = "legend";
    for (const [name, paint] of entries) {
      const item = list.appendChild(document.createElement("li"));
      item.appendChild(document.createElement("i")).style.background = paint;
      item.append(name);
    }
    return list;
  }

  function draw(figure) {
    const place = figure.querySelector(".drawing");
    const width = place.clientWidth;
    if (!width || figure.dataset.width === String(width)) return;
    figure.dataset.width = String(width);
    const { legend, ...options } = charts[figure.dataset.draws](JSON.parse(figure.querySelector("script").textContent), width);
    const drawn = Plot.plot({
      width, ...options, style: { fontSize: "12px", fontFamily: "inherit", background: "transparent" },
      ariaLabel: figure.querySelector("figcaption strong").textContent,
      ariaDescription: figure.querySelector("figcaption span").textContent,
    });
    const svg = drawn.matches("svg") ? drawn : drawn.querySelector("svg");
    svg.setAttribute("role", "img");
    // What needs more room than there is scrolls in its box; shrunk it could not be read.
    if (options.width > width) {
      svg.style.maxWidth = "none";
      place.tabIndex = 0;
    }
    place.replaceChildren(...(legend ? [legendOf(legend)] : []), drawn);
  }

  // On a phone the rows of these tables become cards; to those who listen they stay a table.
  function addRoles(table) {
    table.setAttribute("role", "table");
    for (const part of [table.tHead, ...table.tBodies]) {
      part.setAttribute("role", "rowgroup");
      for (const row of part.rows) {
        row.setAttribute("role", "row");
        for (const cell of row.cells) cell.setAttribute("role", cell.matches("th") ? "columnheader" : "cell");
      }
    }
  }

  function addButtons(table) {
    if (table.classList.contains("texts")) addRoles(table);
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
    }
  }

  function addFilter(table) {
    const box = table.closest(".box");
    const line = document.createElement("div");
    line.className = "filter";
    const label = line.appendChild(document.createElement("label"));
    const input = document.createElement("input");
    input.type = "search";
    label.append("Rows with ", input);
    const told = line.appendChild(document.createElement("output"));
    const all = table.tBodies[0].rows.length;
    const show = () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        const text = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" ");
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      told.textContent = wanted.length ? `${shown} of ${all} rows` : `${all} rows; all words that you type must occur`;
    };
    input.addEventListener("input", show);
    show();
    box.before(line);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    addButtons(table);
    if (table.classList.contains("filtered")) addFilter(table);
  }
  const figures = [...document.querySelectorAll("figure[data-draws]")];
  figures.forEach(draw);
  // Paper cannot be clicked: what is folded away is printed, too.
  const folded = [...document.querySelectorAll("details:not([open])")];
  addEventListener("beforeprint", () => folded.forEach((part) => { part.dataset.shut = part.open ? "" : "yes"; part.open = true; }));
  addEventListener("afterprint", () => folded.forEach((part) => { part.open = part.dataset.shut !== "yes"; }));
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => figures.forEach(draw), 150);
  });
})();
