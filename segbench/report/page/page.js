"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
(() => {
  const { specs, looks } = JSON.parse(document.getElementById("charts").textContent);
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
    try { view.signal(name, value).runAsync().then(hideEmptyMarks); } catch { /* this chart has no such signal */ }
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

  // Charts are drawn when they come near the screen, and all of them before printing; again when the theme changes.
  // On a page of more nodes than these, which slow a browser down, they go again when they are far from it.
  const MOST_NODES = 4000;
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const drawn = new Set();
  const embed = (place, id, config, changes = {}) => window.vegaEmbed(place, { ...specs[id], title: undefined, ...changes }, {
    config, ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true },
  });
  // A mark without items is no picture that would need a name.
  const hideEmptyMarks = (view) => {
    for (const mark of all("g[role='graphics-symbol']", view.container())) {
      if (mark.childElementCount) mark.removeAttribute("aria-hidden");
      else mark.setAttribute("aria-hidden", "true");
    }
  };
  const draw = async (figure) => {
    const id = figure.id;
    drawn.add(id);
    const place = figure.querySelector(".drawing");
    try {
      views.get(id)?.finalize();
      const { view } = await embed(place, id, isDark() ? looks.dark : looks.light);
      views.set(id, view);
      place.style.minHeight = "";
      applyChoices(figure, view);
      hideEmptyMarks(view);
    } catch (error) {
      place.textContent = `This chart could not be drawn (${error.message}); its numbers are below.`;
    }
  };
  const drawOnce = (figure) => drawn.has(figure.id) || draw(figure);
  // Leaves the height of a chart that goes, so that what is below stays where it is.
  const erase = (figure) => {
    const place = figure.querySelector(".drawing");
    place.style.minHeight = `${place.getBoundingClientRect().height}px`;
    views.get(figure.id).finalize();
    views.delete(figure.id);
    drawn.delete(figure.id);
    place.replaceChildren();
  };
  const applyChoices = (figure, view) => {
    if (filter.value) setSignal(view, "filter", filter.value.trim());
    for (const select of all("select", figure)) setSignal(view, select.name, select.value);
  };

  // What a chart shows is chosen with select elements, kept in the address, and saved as the reader sees it.
  // A zoom is of the axes that were there before; Vega names its signals after the parameter and the fields.
  const unzoom = (view) => {
    const zooms = Object.entries(view.getState().signals).filter(([name, value]) => /^zoom_[a-z]+$/.test(name) && Array.isArray(value));
    for (const [name] of zooms) view.signal(name, null);
  };
  const offerChoices = (figure) => {
    for (const select of all("select", figure)) {
      const name = `${figure.id}.${select.name}`, usual = select.value;
      if ([...select.options].some((option) => option.value === state.get(name))) select.value = state.get(name);
      select.addEventListener("change", () => {
        if (views.has(figure.id)) unzoom(views.get(figure.id));
        if (views.has(figure.id)) setSignal(views.get(figure.id), select.name, select.value);
        remember(name, select.value === usual ? "" : select.value);
      });
    }
  };
  const save = (name, address) => make("a", { download: name, href: address }).click();
  const files = {
    SVG: async (view) => URL.createObjectURL(new Blob([await view.toSVG()], { type: "image/svg+xml" })),
    PNG: (view) => view.toImageURL("png", 2),
  };
  const offerFiles = (figure) => {
    const title = figure.querySelector("figcaption").textContent;
    const buttons = Object.entries(files).map(([format, write]) => {
      const button = make("button", { type: "button" }, format);
      button.setAttribute("aria-label", `Save ${title} as ${format}`);
      button.addEventListener("click", async () => {
        await drawOnce(figure);
        // Always dark on light, with its title: what is saved goes into papers.
        const { view } = await embed(make("div"), figure.id, { ...looks.light, background: "white" }, {
          width: views.get(figure.id).width(), title: specs[figure.id].title,
        });
        applyChoices(figure, view);
        await view.runAsync();
        save(`${figure.id}.${format.toLowerCase()}`, await write(view));
        view.finalize();
      });
      return button;
    });
    figure.querySelector("details").before(make("div", { className: "save" }, ...buttons));
  };
  const figures = all("figure.chart");
  const near = new Set();
  const isLarge = () => document.getElementsByTagName("*").length > MOST_NODES;
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) near[isIntersecting ? "add" : "delete"](target);
    for (const figure of figures) if (views.has(figure.id) && !near.has(figure) && isLarge()) erase(figure);
    near.forEach(drawOnce);
  }, { rootMargin: "400px" });
  for (const figure of figures) {
    offerChoices(figure);
    offerFiles(figure);
    watcher.observe(figure);
  }
  addEventListener("beforeprint", () => figures.forEach(drawOnce));
  const redraw = () => figures.filter((figure) => drawn.has(figure.id)).forEach(draw);
  dark.addEventListener("change", redraw);
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    redraw();
  });

  // Arrow keys walk the points of a chart, or else its marks, from left to right; the live line reads them.
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  const walked = new Map();
  const next = (id, step, number) => {
    const before = walked.get(id) ?? (step > 0 ? -1 : 0);
    const place = Math.abs(step) === Infinity ? (step > 0 ? number - 1 : 0) : (before + step + number) % number;
    walked.set(id, place);
    return place;
  };
  const walkPoints = (id, view, step) => {
    const points = view.data("points").filter((row) => row.name.toLowerCase().includes(filter.value.trim().toLowerCase()));
    const [x, y] = ["x", "y"].map((name) => view.signal(name));
    const known = points.filter((row) => row[x] !== undefined && row[y] !== undefined).sort((one, other) => one[x] - other[x]);
    if (!known.length) return;
    const row = known[next(id, step, known.length)];
    setSignal(view, "focus", row.name);
    const label = (name) => all(`[id="${id}"] select[name="${name}"] option:checked`).map((option) => option.text).join();
    live.textContent = `${row.name}, ${row.family}: ${label("x")} ${readable(row[x])}, ${label("y")} ${readable(row[y])}`;
  };
  const readable = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
  const walkMarks = (id, place, step) => {
    const boxes = all(".role-mark:is(.mark-symbol, .mark-rect, .mark-arc) > path[aria-label]", place).map((mark) => [mark, mark.getBoundingClientRect()]);
    boxes.sort(([, one], [, other]) => one.left - other.left || one.top - other.top);
    if (!boxes.length) return;
    const chosen = next(id, step, boxes.length);
    boxes.forEach(([mark], number) => mark.classList.toggle("walked", number === chosen));
    live.textContent = boxes[chosen][0].getAttribute("aria-label");
  };
  for (const figure of figures) {
    const place = figure.querySelector(".drawing");
    const hasPoints = (specs[figure.id].params || []).some((parameter) => parameter.name === "focus");
    place.addEventListener("keydown", (event) => {
      const view = views.get(figure.id);
      if (!(event.key in steps) || !view) return;
      event.preventDefault();
      if (hasPoints) walkPoints(figure.id, view, steps[event.key]);
      else walkMarks(figure.id, place, steps[event.key]);
    });
  }

  if (state.get("filter")) {
    filter.value = state.get("filter");
    applyFilter();
  }
})();
