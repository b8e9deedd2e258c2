"use strict";
// Sorting and filtering of tables, zooming of charts. The page says the same without this script.
(() => {
  const number = text => { const t = text.replace("−", "-").replace(/[%+]/g, "").trim(); return t === "" ? NaN : Number(t); };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0], count = table.closest("section, details, main").querySelector("output");
    const rows = [...body.rows];
    table.querySelectorAll("th").forEach((th, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => {
        const descending = th.getAttribute("aria-sort") === "ascending";
        for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const keys = new Map(rows.map(row => [row, row.cells[column].dataset.sort ?? row.cells[column].textContent]));
        const numeric = rows.every(row => keys.get(row).trim() === "" || !Number.isNaN(number(keys.get(row))));
        rows.sort((a, b) => {
          const x = keys.get(a), y = keys.get(b);
          if (!numeric) return x.localeCompare(y, undefined, { numeric: true });
          const p = number(x), q = number(y);
          return Number.isNaN(p) ? (Number.isNaN(q) ? 0 : -1) : Number.isNaN(q) ? 1 : p - q;
        });
        if (descending) rows.reverse();
        body.append(...rows);
      });
    });
    const filter = table.closest(".table").querySelector("input[type=search]");
    if (filter) filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every(word => text.includes(word));
        if (!row.hidden) shown++;
      }
      table.closest(".table").querySelector("output").textContent = shown + " of " + rows.length + " rows";
    });
  }

  const W = 760, H = 320, L = 64, R = 150, T = 14, B = 46, NS = "http://www.w3.org/2000/svg";
  const ticks = (low, high, most) => {
    const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw)), ratio = raw / power;
    const step = power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
    const decimals = Math.min(15, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    const values = [];
    for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i++) values.push([i * step, (i === 0 ? 0 : i * step).toFixed(decimals)]);
    return values;
  };
  for (const svg of document.querySelectorAll("svg.chart[data-x0]")) {
    const full = ["x0", "x1", "y0", "y1"].map(key => Number(svg.dataset[key]));
    let view = [...full];
    const lines = [...svg.querySelectorAll("[data-points]")].map(path => [path, path.dataset.points.split(" ").map(p => p.split(",").map(Number))]);
    const bands = [...svg.querySelectorAll("[data-band]")].map(path => [path, path.dataset.band.split(" ").map(p => p.split(",").map(Number))]);
    const X = x => L + (x - view[0]) / (view[1] - view[0]) * (W - L - R), Y = y => H - B - (y - view[2]) / (view[3] - view[2]) * (H - T - B);
    const axis = (group, values, line, text) => {
      group.replaceChildren(...values.flatMap(([value, label]) => {
        const grid = document.createElementNS(NS, "line"), tick = document.createElementNS(NS, "text");
        grid.setAttribute("class", "grid");
        tick.setAttribute("class", "tick");
        for (const [key, v] of Object.entries(line(value))) grid.setAttribute(key, v);
        for (const [key, v] of Object.entries(text(value))) tick.setAttribute(key, v);
        tick.textContent = label;
        return [grid, tick];
      }));
    };
    const draw = () => {
      for (const [path, points] of lines) {
        let d = "", open = false;
        for (const [x, y] of points) { if (!Number.isNaN(y)) d += (open ? "L" : "M") + X(x) + " " + Y(y); open = !Number.isNaN(y); }
        path.setAttribute("d", d);
      }
      for (const [path, points] of bands) {
        const known = points.filter(p => !Number.isNaN(p[1]) && !Number.isNaN(p[2]));
        if (known.length) path.setAttribute("d", "M" + [...known.map(p => X(p[0]) + " " + Y(p[2])), ...known.reverse().map(p => X(p[0]) + " " + Y(p[1]))].join("L") + "Z");
      }
      for (const mark of svg.querySelectorAll(".mark")) { mark.setAttribute("cx", X(Number(mark.dataset.x))); mark.setAttribute("cy", Y(Number(mark.dataset.y))); }
      for (const label of svg.querySelectorAll(".mark-label")) {
        const x = X(Number(label.dataset.x)), y = Y(Number(label.dataset.y));
        label.setAttribute("x", x); label.setAttribute("y", y - 10);
        label.style.visibility = x >= L && x <= W - R && y >= T && y <= H - B ? "" : "hidden";
      }
      const threshold = svg.querySelector(".threshold");
      if (threshold) {
        const y = Y(Number(threshold.dataset.y)), label = svg.querySelector(".threshold-label"), inside = y >= T && y <= H - B;
        threshold.setAttribute("y1", y); threshold.setAttribute("y2", y);
        label.setAttribute("y", y - 4); label.style.visibility = inside ? "" : "hidden";
      }
      axis(svg.querySelector(".x-axis"), ticks(view[0], view[1], 8), v => ({ x1: X(v), x2: X(v), y1: T, y2: H - B }), v => ({ x: X(v), y: H - B + 16, "text-anchor": "middle" }));
      axis(svg.querySelector(".y-axis"), ticks(view[2], view[3], 6), v => ({ x1: L, x2: W - R, y1: Y(v), y2: Y(v) }), v => ({ x: L - 6, y: Y(v) + 4, "text-anchor": "end" }));
      svg.dataset.zoomed = String(view.some((v, i) => v !== full[i]));
    };
    const show = (x0, x1) => {
      const span = Math.max(x1 - x0, (full[1] - full[0]) / 500), low = Math.max(full[0], Math.min(x0, full[1] - span));
      view[0] = low; view[1] = Math.min(full[1], low + span);
      const seen = lines.flatMap(([, points]) => points.filter(p => p[0] >= view[0] && p[0] <= view[1]).map(p => p[1])).filter(y => !Number.isNaN(y));
      if (seen.length) {
        const low = Math.min(...seen), high = Math.max(...seen), margin = (high - low || 1) * 0.05;
        view[2] = low - margin; view[3] = high + margin;
      }
      if (view[0] === full[0] && view[1] === full[1]) view = [...full];
      draw();
    };
    const tools = document.createElement("div");
    tools.className = "tools";
    const title = svg.querySelector("title").textContent;
    for (const [text, label, change] of [["+", "Zoom in", 0.25], ["−", "Zoom out", -0.5], ["◀", "Earlier", -1], ["▶", "Later", 1], ["Reset", "Reset", 0]]) {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = text; button.setAttribute("aria-label", label + ": " + title);
      button.addEventListener("click", () => {
        const span = view[1] - view[0];
        if (text === "Reset") show(full[0], full[1]);
        else if (Math.abs(change) === 1) show(view[0] + change * span / 2, view[1] + change * span / 2);
        else show(view[0] + change * span, view[1] - change * span);
      });
      tools.append(button);
    }
    svg.after(tools);
    let from = null;
    const at = event => { const box = svg.getBoundingClientRect(); return view[0] + ((event.clientX - box.left) / box.width * W - L) / (W - L - R) * (view[1] - view[0]); };
    svg.addEventListener("pointerdown", event => { from = at(event); });
    svg.addEventListener("pointerup", event => {
      const to = at(event);
      if (from !== null && Math.abs(to - from) > (view[1] - view[0]) / 50) show(Math.min(from, to), Math.max(from, to));
      from = null;
    });
    svg.addEventListener("dblclick", () => show(full[0], full[1]));
  }
})();
