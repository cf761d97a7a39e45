"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const live = document.getElementById("live");
  const views = new Map();
  for (const element of all(".scripted")) element.hidden = false;

  // What the address holds after its #, so that a link shows the page as it is now: filter, sorting, columns, axes.
  const written = location.hash.slice(1);
  const state = new URLSearchParams(written.includes("=") ? written : "");
  const remember = (name, value) => {
    if (value === "" || value === null) state.delete(name);
    else state.set(name, value);
    const text = state.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };

  // Tables that are built when they are opened: their HTML waits, as text, in a noscript element.
  const build = (details) => {
    for (const waiting of all("noscript", details)) {
      const holder = make("div", { className: "scroll", tabIndex: 0 });
      holder.innerHTML = waiting.textContent;
      waiting.replaceWith(holder);
    }
  };
  for (const details of all("details.table")) details.addEventListener("toggle", () => details.open && build(details));

  // One filter for the rows of tables and the points of charts.
  const filter = document.getElementById("filter");
  const applyFilter = () => {
    const wanted = filter.value.trim().toLowerCase();
    const rows = all("tr[data-name]");
    for (const row of rows) row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
    for (const view of views.values()) setSignal(view, "filter", filter.value.trim());
    remember("filter", filter.value.trim());
    live.textContent = wanted ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
  };
  const setSignal = (view, name, value) => {
    try { view.signal(name, value).runAsync(); } catch { /* this chart has no such signal */ }
  };
  filter.addEventListener("input", applyFilter);

  // Sorting by a header: numbers by their value, what is missing last.
  const valueOf = (cell) => {
    const text = cell.textContent.trim();
    const number = parseFloat(text.replace(/^[×<>~]+/, ""));
    return text === "-" || text === "" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const compare = (one, other) => {
    if (one === null || other === null) return null;
    if (typeof one === typeof other) return one < other ? -1 : one > other ? 1 : 0;
    return typeof one === "number" ? -1 : 1;
  };
  const sort = (table, place, direction) => {
    const keyed = all("tbody tr", table).map((row) => [valueOf(row.cells[place]), row]);
    const sign = direction === "descending" ? -1 : 1;
    keyed.sort(([one], [other]) => compare(one, other) === null ? (one === null) - (other === null) : sign * compare(one, other));
    table.tBodies[0].append(...keyed.map(([, row]) => row));
    for (const header of all("th[aria-sort]", table)) header.setAttribute("aria-sort", "none");
    table.tHead.rows[0].cells[place].setAttribute("aria-sort", direction);
  };
  const isSortable = (header) => !header.classList.contains("drawn");
  const makeSortable = (table, name) => {
    [...table.tHead.rows[0].cells].forEach((header, place) => {
      if (!isSortable(header)) return;
      const button = make("button", { type: "button" }, ...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const before = header.getAttribute("aria-sort");
        const first = typeof valueOf(table.tBodies[0].rows[0].cells[place]) === "number" ? "descending" : "ascending";
        const next = before === "none" ? first : before === "descending" ? "ascending" : "descending";
        sort(table, place, next);
        remember(`${name}.sort`, `${place}.${next}`);
      });
    });
    const [place, direction] = (state.get(`${name}.sort`) || "").split(".");
    if (table.tHead.rows[0].cells[place] && ["ascending", "descending"].includes(direction)) sort(table, Number(place), direction);
  };

  // Columns to choose.
  const showColumn = (table, place, isShown) => {
    for (const row of all("tr", table)) row.cells[place].hidden = !isShown;
  };
  const offerColumns = (table, name) => {
    const headers = [...table.tHead.rows[0].cells];
    const chosen = state.has(`${name}.columns`) ? state.get(`${name}.columns`).split(".").map(Number) : null;
    const boxes = headers.map((header, place) => {
      const checked = place === 0 || (chosen ? chosen.includes(place) : !("extra" in header.dataset));
      showColumn(table, place, checked);
      return make("input", { type: "checkbox", checked });
    });
    const list = make("ul");
    boxes.forEach((box, place) => {
      if (place === 0) return;
      box.addEventListener("change", () => {
        showColumn(table, place, box.checked);
        remember(`${name}.columns`, boxes.flatMap((one, index) => (one.checked ? [index] : [])).join("."));
      });
      list.append(make("li", {}, make("label", {}, box, ` ${headers[place].textContent.replace(/\s+/g, " ")}`)));
    });
    table.closest(".scroll").before(make("details", { className: "columns" }, make("summary", {}, "Columns"), list));
  };
  all("table.sortable").forEach((table, number) => {
    offerColumns(table, `t${number}`);
    makeSortable(table, `t${number}`);
  });

  // Charts are drawn when they come near the screen, and all of them before printing.
  const drawn = new Set();
  const look = () => ({
    background: null,
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { labelColor: "currentColor", titleColor: "currentColor", tickColor: "currentColor", domainColor: "currentColor", gridColor: "currentColor", gridOpacity: 0.15, labelFontSize: 12, titleFontSize: 12 },
    legend: { labelColor: "currentColor", titleColor: "currentColor", labelFontSize: 12, titleFontSize: 12, symbolType: "circle" },
    title: { color: "currentColor", subtitleColor: "currentColor" },
    header: { labelColor: "currentColor", titleColor: "currentColor" },
    text: { color: "currentColor" },
    rule: { color: "currentColor" },
  });
  const draw = async (figure) => {
    if (drawn.has(figure.id) || !(figure.id in specs)) return;
    drawn.add(figure.id);
    const place = figure.querySelector(".drawing");
    try {
      const { view } = await window.vegaEmbed(place, specs[figure.id], {
        ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true }, config: look(),
      });
      views.set(figure.id, view);
      restore(figure.id, view);
      offerFiles(figure, view);
    } catch (error) {
      place.textContent = `This chart could not be drawn (${error.message}); its numbers are below.`;
    }
  };
  const restore = (id, view) => {
    if (filter.value) setSignal(view, "filter", filter.value.trim());
    for (const parameter of specs[id].params || []) {
      if (!parameter.bind || parameter.select || parameter.name === "filter") continue;
      const name = `${id}.${parameter.name}`;
      const options = parameter.bind.options;
      if (state.has(name) && (!options || options.includes(state.get(name)))) setSignal(view, parameter.name, state.get(name));
      view.addSignalListener(parameter.name, (_, value) => remember(name, value === parameter.value ? "" : value));
    }
  };
  const save = (name, address) => make("a", { download: name, href: address }).click();
  const offerFiles = (figure, view) => {
    const files = make("div", { className: "save" });
    const svg = make("button", { type: "button" }, "SVG");
    svg.addEventListener("click", async () => {
      save(`${figure.id}.svg`, URL.createObjectURL(new Blob([await view.toSVG()], { type: "image/svg+xml" })));
    });
    const png = make("button", { type: "button" }, "PNG");
    png.addEventListener("click", async () => save(`${figure.id}.png`, await view.toImageURL("png", 2)));
    for (const [button, format] of [[svg, "SVG"], [png, "PNG"]]) {
      button.setAttribute("aria-label", `Save ${figure.querySelector("figcaption").textContent} as ${format}`);
      files.append(button);
    }
    figure.querySelector(".drawing").after(files);
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "400px" });
  for (const figure of all("figure.chart")) watcher.observe(figure);
  addEventListener("beforeprint", () => {
    for (const figure of all("figure.chart")) draw(figure);
  });

  // Arrow keys walk the marks of a chart from left to right; the live line reads them.
  const marksOf = (place) => all("svg [role='graphics-symbol'][aria-label]", place)
    .map((mark) => ({ mark, box: mark.getBoundingClientRect() }))
    .sort((one, other) => one.box.left - other.box.left || one.box.top - other.box.top)
    .map(({ mark }) => mark);
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  for (const place of all(".drawing")) {
    place.addEventListener("keydown", (event) => {
      if (!(event.key in steps) || event.target.closest("input, select")) return;
      const marks = marksOf(place);
      if (!marks.length) return;
      event.preventDefault();
      const before = marks.findIndex((mark) => mark.classList.contains("walked"));
      const next = before < 0 ? (steps[event.key] > 0 ? 0 : marks.length - 1) : (before + steps[event.key] + marks.length) % marks.length;
      marks.forEach((mark, number) => mark.classList.toggle("walked", number === next));
      live.textContent = marks[next].getAttribute("aria-label");
    });
  }

  // Dark or light, by the system's choice until it is switched.
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });

  if (state.get("filter")) {
    filter.value = state.get("filter");
    applyFilter();
  }
})();
